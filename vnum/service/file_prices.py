"""Our price for a carrier's calls: for those that we have not, or have with other seconds.

Calls of which both sides say the same seconds have their price already: what was charged.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from asyncpg import Record

from vnum.finance import DEFAULT_TARIFF, BillingRefusal, TariffBook, TariffId, load_book, rate_call
from vnum.model.bindings import MAX_LIFE
from vnum.model.ids import RANDOM_BYTES, new_id
from vnum.service.differences import Kind
from vnum.store import calls as stored_calls
from vnum.store.calls import Asked
from vnum.store.database import Database
from vnum.store.reconcile import Priced, Session

_SECOND = timedelta(seconds=1)


async def price_file_calls(opened: Session, database: Database) -> None:
    """Our price for the seconds of calls that we have not, or have otherwise."""
    book = await load_book(database)
    after = 0
    while page := await opened.unpriced(after):
        alone = [row for row in page if row["our_at"] is None]
        found = await stored_calls.resolve(database, [_asked(row) for row in alone]) if alone else []
        reviewed = await opened.reviewed([(row["call_cell"], row["call_id"]) for row in alone])
        known = {row["place"]: one for row, one in zip(alone, found, strict=True)}
        await opened.price([_priced(row, known.get(row["place"]), reviewed, book) for row in page])
        after = page[-1]["place"]


def _asked(row: Record) -> Asked:
    at = row["their_call_time"]
    return Asked(
        row["call_cell"],
        row["call_id"],
        row["cell"] or 0,
        row["their_host"] or "",
        row["their_extension"],
        None,
        at,
        new_id(0, at - MAX_LIFE - _SECOND, bytes(RANDOM_BYTES)),
        new_id(0, at + _SECOND, bytes(RANDOM_BYTES)),
        row["their_at"],
    )


def _priced(row: Record, known: Record | None, reviewed: dict[str, tuple[str, str]], book: TariffBook) -> Priced:
    tariff_id = row["tariff_id"] or (known["tariff_id"] if known else None) or DEFAULT_TARIFF
    cost = _cost(row["their_seconds"], tariff_id, row["our_at"] or row["their_at"], book)
    return Priced(
        row["place"],
        cost,
        known["merchant_id"] if known else None,
        known["order_id"] if known else None,
        known["binding_id"] if known else None,
        "no tariff was in force" if cost is None else _note(row, known, reviewed.get(row["call_id"])),
    )


def _cost(seconds: int, tariff_id: str, at: datetime, book: TariffBook) -> Decimal | None:
    """The one place where a carrier's seconds get our price; None = no tariff was in force."""
    try:
        return rate_call(at, at + seconds * _SECOND, book.at(TariffId(tariff_id), at)).cost
    except BillingRefusal:
        return None


def _note(row: Record, known: Record | None, review: tuple[str, str] | None) -> str:
    """Why a call of the file is missing here, as far as it can be told."""
    if known is None or Kind.MISSING_HERE not in row["kinds"]:
        return ""
    if known["known_content"] is not None:
        return "charged here under another date"
    if review is not None:
        return f"{review[0]} here: {review[1]}"
    if row["their_host"] is None:
        return "the host is not registered"
    if known["binding_id"] is None:
        return "no binding held this number"
    return "no record came"
