"""The live view of a month that is not closed: what its invoices would say if nothing more happened.

It is made by the statements of the close, up to an instant, and writes nothing but temporary tables.
"""

from datetime import datetime, timedelta
from typing import Final

from billing import ledger
from billing.errors import PeriodInvalid, TariffMissing
from billing.invoice import Draft, sum_up
from billing.ledger import Owed
from billing.periods import Period, Span
from billing.queries import Pool

MOST_DRAFTED: Final = 1000
TICK: Final = timedelta(microseconds=1)


async def draft(
    pool: Pool,
    period: Period,
    *,
    now: datetime | None,
    merchant_ids: list[str] | None = None,
    after: str = "",
    limit: int = MOST_DRAFTED,
) -> list[Draft]:
    """Drafts of the merchants behind `after`, by id, whose month is not closed; None = all. At most `limit`.

    Merchants without usage have none. `now` None means the server's clock. What was carried over is that of the last
    invoice there is, also where months before are still open.

    Raises:
        PeriodInvalid: the month has not begun.
        TariffMissing: a merchant's tariff has no version for a part of it.
    """
    async with pool.acquire() as connection, ledger.unlimited(connection):
        as_of = await ledger.clock(connection, now)
        window = Span(period.starts_at, min(period.ends_at, as_of + TICK))  # with what begins at this very instant
        if window.ends_at <= window.starts_at:
            raise PeriodInvalid(f"{period} has not begun yet")
        await ledger.collect_pending(connection, period, merchant_ids)
        await ledger.collect_windows(connection, window)
        if lacking := await ledger.without_tariff(connection, window):
            raise TariffMissing(f"no tariff for all of {period} for {lacking[0]['merchant_id']}")
        await ledger.collect_usage(connection, window)
        found: list[Draft] = []
        while len(found) < limit:
            owed = await ledger.read_owed(connection, period, after=after, merchants=limit)
            found += [_draft(one, period, as_of) for one in owed if one.lines or one.late]
            if len(owed) < limit:
                break
            after = owed[-1].buyer.merchant_id
        return found[:limit]


def _draft(owed: Owed, period: Period, as_of: datetime) -> Draft:
    return Draft(
        buyer=owed.buyer,
        period=period,
        lines=tuple(owed.lines),
        late=tuple(owed.late),
        as_of=as_of,
        **sum_up(owed.lines, owed.late, owed.carried_in)._asdict(),
    )
