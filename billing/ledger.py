"""Writing the ledger: what a close does to the database. `billing.close` puts the steps in order."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from billing.errors import InvoiceInconsistent
from billing.invoice import Buyer, Invoice, Late, Line, MerchantId, Serial, make_invoice, problems
from billing.invoices import read_line
from billing.periods import Period, biz_date
from billing.queries import Connection, load_queries

if TYPE_CHECKING:
    import asyncpg

_SQL: Final = load_queries("close")
# asyncpg's own time limit is made for the hot path as well; a close of any size ends within a day.
_NO_LIMIT_S: Final = 86_400


class Tally(NamedTuple):
    """How many completed closes a period has, and how many of them with an invoice."""

    merchants: int
    invoices: int


class Chunk(NamedTuple):
    """What one transaction closed."""

    merchants: list[str]
    invoices: list[Invoice]


async def clock(connection: Connection, now: datetime | None) -> datetime:
    """The instant given, or the server's."""
    instant: datetime = await connection.fetchval(_SQL["clock"], now)
    return instant


async def merchant_exists(connection: Connection, merchant_id: str) -> bool:
    """Whether the host knows the merchant."""
    return bool(await connection.fetchval(_SQL["merchant_exists"], merchant_id))


async def tally(connection: Connection, period: Period, merchant_id: str | None) -> Tally:
    """What is already closed."""
    (row,) = await connection.fetch(_SQL["closed"], period.first_day, merchant_id)
    return Tally(row["merchants"], row["invoices"])


async def drop_collected(connection: Connection) -> None:
    """Remove this session's temporary tables, if any."""
    await connection.execute(_SQL["drop_pending"])


async def collect_pending(connection: Connection, period: Period, merchant_id: str | None) -> int:
    """List whom to close in a temporary table; how many they are."""
    await connection.execute(
        _SQL["collect_pending"], period.first_day, period.ends_at, merchant_id, timeout=_NO_LIMIT_S
    )
    await connection.execute(_SQL["index_pending"], timeout=_NO_LIMIT_S)
    return int(await connection.fetchval(_SQL["pending_count"]))


async def out_of_order(connection: Connection, period: Period) -> "Sequence[asyncpg.Record]":
    """Pending merchants with an open month before: <= 10 rows (merchant_id, merchants = how many in all)."""
    return await connection.fetch(_SQL["out_of_order"], period.previous.first_day, period.starts_at)


async def without_tariff(connection: Connection, period: Period) -> "Sequence[asyncpg.Record]":
    """Pending merchants without a price for the whole period: rows as above."""
    return await connection.fetch(_SQL["without_tariff"], period.starts_at)


async def mark(connection: Connection, period: Period, now: datetime) -> None:
    """Tell the writers, in a transaction of its own, that the period is closed for the pending merchants."""
    await connection.execute(_SQL["mark"], period.first_day, period.ends_at, now, timeout=_NO_LIMIT_S)


async def collect_usage(connection: Connection, period: Period) -> None:
    """Sum lines and late calls of all pending merchants into temporary tables, in one snapshot."""
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(_SQL["collect_lines"], period.starts_at, period.ends_at, timeout=_NO_LIMIT_S)
        await connection.execute(_SQL["collect_late"], period.ends_at, timeout=_NO_LIMIT_S)
        await connection.execute(_SQL["index_collected"], timeout=_NO_LIMIT_S)


async def close_chunk(
    connection: Connection, period: Period, *, issuer: str, now: datetime, after: str, merchants: int
) -> Chunk:
    """Close the next merchants behind `after`, all of them or none; an empty chunk when none is left.

    Raises:
        InvoiceInconsistent: usage that does not add up, a call's cost against its minutes for example.
    """
    async with connection.transaction():
        rows = await connection.fetch(_SQL["chunk"], after, period.first_day, merchants)
        names = [row["merchant_id"] for row in rows]
        lines = await _lines(connection, names)
        charged = [row for row in rows if lines[row["merchant_id"]] or row["late_count"]]
        serials = await _take_serials(connection, issuer, biz_date(now).year, len(charged))
        made = [
            _invoice(row, lines[row["merchant_id"]], serial, period, now)
            for row, serial in zip(charged, serials, strict=True)
        ]
        await _insert(connection, made)
        await _complete(connection, names, made, period, now)
    return Chunk(names, made)


async def _lines(connection: Connection, merchants: Sequence[str]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = defaultdict(list)
    for row in await connection.fetch(_SQL["chunk_lines"], merchants):
        found[row["merchant_id"]].append(read_line(row))
    return found


async def _take_serials(connection: Connection, issuer: str, year: int, count: int) -> list[Serial]:
    if count == 0:
        return []
    last: int = await connection.fetchval(_SQL["take_serials"], issuer, year, count)
    return [Serial(issuer=issuer, year=year, serial=n) for n in range(last - count + 1, last + 1)]


def _invoice(row: "asyncpg.Record", lines: Sequence[Line], serial: Serial, period: Period, now: datetime) -> Invoice:
    buyer = Buyer(merchant_id=MerchantId(row["merchant_id"]), invoice_title=row["invoice_title"], tax_no=row["tax_no"])
    invoice = make_invoice(
        serial=serial,
        buyer=buyer,
        period=period,
        closed_at=now,
        lines=lines,
        late=Late(count=row["late_count"], amount=row["late_amount"]),
        carried_in=row["carried_in"],
    )
    if found := problems(invoice):
        raise InvoiceInconsistent(f"merchant {buyer.merchant_id!r}, {period}: {'; '.join(found)}")
    return invoice


_HEAD: Final[dict[str, Callable[[Invoice], object]]] = {
    "invoice_number": lambda i: i.number,
    "issuer": lambda i: i.serial.issuer,
    "year": lambda i: i.serial.year,
    "serial": lambda i: i.serial.serial,
    "merchant_id": lambda i: i.buyer.merchant_id,
    "period": lambda i: i.period.first_day,
    "invoice_title": lambda i: i.buyer.invoice_title,
    "tax_no": lambda i: i.buyer.tax_no,
    "closed_at": lambda i: i.closed_at,
    "adjustments_count": lambda i: i.late.count,
    "adjustments_total": lambda i: i.late.amount,
    "total_exact": lambda i: i.total_exact,
    "carried_in": lambda i: i.carried_in,
    "balance": lambda i: i.balance,
    "amount_due": lambda i: i.amount_due,
    "carried_out": lambda i: i.carried_out,
}
_LINE: Final = Line.__struct_fields__


async def _insert(connection: Connection, invoices: Sequence[Invoice]) -> None:
    numbers = [invoice.number for invoice in invoices]
    heads = [tuple(value(invoice) for value in _HEAD.values()) for invoice in invoices]
    lines = [
        (number, line_no, *msgspec.structs.astuple(line))
        for invoice, number in zip(invoices, numbers, strict=True)
        for line_no, line in enumerate(invoice.lines, start=1)
    ]
    await connection.copy_records_to_table("invoices", records=heads, columns=list(_HEAD))
    await connection.copy_records_to_table(
        "invoice_lines", records=lines, columns=["invoice_number", "line_no", *_LINE]
    )
    await _insert_adjustments(connection, [invoice for invoice in invoices if invoice.late.count])


async def _insert_adjustments(connection: Connection, invoices: Sequence[Invoice]) -> None:
    merchants, numbers = [i.buyer.merchant_id for i in invoices], [i.number for i in invoices]
    rows = await connection.fetch(_SQL["insert_adjustments"], merchants, numbers, timeout=_NO_LIMIT_S)
    taken = {row["invoice_number"]: Late(count=row["count"], amount=row["amount"]) for row in rows}
    wrong = [i.number for i in invoices if taken.get(i.number) != i.late]
    if wrong:
        raise InvoiceInconsistent(f"adjustments differ from their sum: {', '.join(wrong[:10])}")


async def _complete(
    connection: Connection, merchants: Sequence[str], made: Sequence[Invoice], period: Period, now: datetime
) -> None:
    numbers = {invoice.buyer.merchant_id: invoice.number for invoice in made}
    await connection.copy_records_to_table(
        "closes",
        records=[(name, period.first_day, numbers.get(MerchantId(name)), now) for name in merchants],
        columns=["merchant_id", "period", "invoice_number", "closed_at"],
    )
