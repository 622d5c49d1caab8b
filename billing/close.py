"""Closing a month: from usage to numbered invoices, once, whatever is interrupted or repeated.

1. Take the schema's close lock; refuse what may not be closed.
2. Mark the month closed for the merchants, and commit: statements that begin from now on keep out of it.
3. Wait until every transaction that began before the mark has ended (`billing.drain`). The month is now
   final.
4. Sum the usage of all pending merchants in one snapshot, each usage relation read once, into temporary
   tables.
5. Write invoices in chunks of merchants, each chunk one transaction: numbers, invoices, lines, adjustments,
   and the row in `closes` that says it is done.

After a crash at any step the next close begins again with the merchants that have no row in `closes`. Memory
does not depend on the amount of usage, nor on the number of merchants or late calls.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from billing import ledger
from billing.drain import PATIENCE, drain
from billing.errors import CloseBlocked, MerchantNotFound, PeriodNotOver, PeriodOutOfOrder, TariffMissing
from billing.invoice import DEFAULT_ISSUER
from billing.money import ZERO, total
from billing.periods import ZONE, Period
from billing.queries import Connection, Pool, load_queries

if TYPE_CHECKING:
    import asyncpg

CHUNK_MERCHANTS: Final = 1000
LOCK_PATIENCE: Final = timedelta(hours=1)

Progress = Callable[[int, int], None]

_SQL: Final = load_queries("close")
_LOCK_PAUSE_MS: Final = 50


class CloseReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a close came to. The merchants and invoices of the period, and what this very close added.

    `total_exact`, `tax_exact` (added tax) and `amount_due` are sums in CNY over the invoices made now, not over those
    that were there.
    """

    period: Period
    closed_at: datetime
    merchants: int
    invoices: int
    invoices_made: int
    total_exact: Decimal
    tax_exact: Decimal
    amount_due: Decimal


async def close(
    pool: Pool,
    period: Period,
    *,
    now: datetime | None,
    merchant_id: str | None = None,
    progress: Progress | None = None,
    issuer: str = DEFAULT_ISSUER,
    chunk_merchants: int = CHUNK_MERCHANTS,
    patience: timedelta = PATIENCE,
    also: ledger.Also | None = None,
) -> CloseReport:
    """Close a period for one merchant or, with None, for all that were opened before its end.

    `now` is a simulated clock; None means the server's. `progress(done, total)` is called once a merchant,
    after the transaction that closed it. `also(connection, invoices)` writes with the invoices, in their
    transaction: both or neither. Repeating a close changes nothing and reports the invoices as they
    are.

    Raises:
        PeriodNotOver: now is before the period's end.
        MerchantNotFound: the one merchant is unknown.
        PeriodOutOfOrder: a merchant's month before is still open.
        TariffMissing: a merchant's tariff has no version for a part of the period.
        CloseBlocked: an older transaction, or another close, did not end in time.
        InvoiceInconsistent: usage that does not add up; its merchants are not closed.
    """
    async with pool.acquire() as connection, _alone(connection):
        instant = await ledger.clock(connection, now)
        if instant < period.ends_at:
            raise PeriodNotOver(
                f"{period} ends at {period.ends_at.astimezone(ZONE):%F %H:%M} (Asia/Shanghai) and can be closed from "
                "then on; until then look at its draft"
            )
        if merchant_id is not None and not await ledger.merchant_exists(connection, merchant_id):
            raise MerchantNotFound(f"no merchant {merchant_id!r}")
        pending = await ledger.collect_pending(connection, period, None if merchant_id is None else [merchant_id])
        sums = _Sums()
        if pending:
            await _make_final(connection, period, instant, patience)
            async for chunk in _chunks(connection, period, issuer, instant, chunk_merchants, also):
                sums.add(chunk)
                _report_progress(progress, sums.merchants, len(chunk.merchants), pending)
        done = await ledger.tally(connection, period, merchant_id)
    return CloseReport(
        period=period,
        closed_at=instant,
        merchants=done.merchants,
        invoices=done.invoices,
        invoices_made=sums.invoices,
        total_exact=sums.total_exact,
        tax_exact=sums.tax_exact,
        amount_due=sums.amount_due,
    )


async def _make_final(connection: Connection, period: Period, now: datetime, patience: timedelta) -> None:
    """Steps 1 to 4 for the pending merchants."""
    _refuse(PeriodOutOfOrder, f"{period.previous} is still open", await ledger.out_of_order(connection, period))
    await ledger.collect_windows(connection, period.span)
    _refuse(TariffMissing, f"no tariff for all of {period}", await ledger.without_tariff(connection, period.span))
    await ledger.mark(connection, period, now)
    await drain(connection, patience=patience)
    await ledger.collect_windows(connection, period.span)  # again: now nothing can change them any more
    await ledger.collect_usage(connection, period.span)


async def _chunks(
    connection: Connection, period: Period, issuer: str, now: datetime, merchants: int, also: ledger.Also | None
) -> AsyncIterator[ledger.Chunk]:
    """Step 5; each chunk is committed when it is yielded."""
    after = ""
    while True:
        chunk = await ledger.close_chunk(
            connection, period, issuer=issuer, now=now, after=after, merchants=merchants, also=also
        )
        if not chunk.merchants:
            return
        yield chunk
        after = chunk.merchants[-1]


class _Sums:
    """Adds up chunks, so that none has to be kept."""

    def __init__(self) -> None:
        self.merchants = self.invoices = 0
        self.total_exact = self.tax_exact = self.amount_due = ZERO

    def add(self, chunk: ledger.Chunk) -> None:
        self.merchants += len(chunk.merchants)
        self.invoices += len(chunk.invoices)
        self.total_exact = total([self.total_exact, *(i.total_exact for i in chunk.invoices)])
        self.tax_exact = total([self.tax_exact, *(i.tax_exact for i in chunk.invoices)])
        self.amount_due = total([self.amount_due, *(i.amount_due for i in chunk.invoices)])


def _report_progress(progress: Progress | None, done: int, chunk: int, pending: int) -> None:
    if progress is not None:
        for merchants in range(done - chunk + 1, done + 1):
            progress(merchants, pending)


def _refuse(refusal: type[PeriodOutOfOrder | TariffMissing], why: str, rows: "Sequence[asyncpg.Record]") -> None:
    if rows:
        names = ", ".join(row["merchant_id"] for row in rows)
        more = rows[0]["merchants"] - len(rows)
        raise refusal(f"{why} for {names}" + (f" and {more} more" if more else ""))


@asynccontextmanager
async def _alone(connection: Connection) -> AsyncIterator[None]:
    """One close at a time in this schema; lock and temporary tables go with the session if it dies."""
    await _lock(connection)
    try:
        async with ledger.unlimited(connection):
            yield
    finally:
        if not connection.is_closed():
            await connection.execute(_SQL["unlock"])


async def _lock(connection: Connection) -> None:
    clock = asyncio.get_running_loop().time
    deadline = clock() + LOCK_PATIENCE.total_seconds()
    while not await connection.fetchval(_SQL["try_lock"]):
        if clock() >= deadline:
            raise CloseBlocked(f"another close is still running after {LOCK_PATIENCE}")
        await asyncio.sleep(_LOCK_PAUSE_MS / 1000)
