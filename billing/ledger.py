"""Writing the ledger: what a close does to the database. `billing.close` puts the steps in order."""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from billing.errors import InvoiceInconsistent
from billing.invoice import Buyer, Invoice, Late, Line, MerchantId, Serial, make_invoice, problems
from billing.invoices import read_buyer, read_line, read_tax
from billing.money import ZERO
from billing.periods import Period, Span, biz_date
from billing.queries import Connection, insert, load_queries

if TYPE_CHECKING:
    import asyncpg

_SQL: Final = load_queries("close")
# asyncpg's own time limit is made for the hot path as well; a close of any size ends within a day.
_NO_LIMIT_S: Final = 86_400


class Tally(NamedTuple):
    """How many completed closes a period has, and how many of them with an invoice."""

    merchants: int
    invoices: int


class Owed(NamedTuple):
    """What a merchant owes for a window, before it is summed. `notes` are those whose rests are in carried_in."""

    buyer: Buyer
    lines: list[Line]
    late: list[Late]
    carried_in: Decimal
    notes: list[str]


class Chunk(NamedTuple):
    """What one transaction closed."""

    merchants: list[str]
    invoices: list[Invoice]


Also = Callable[[Connection, Sequence[Invoice]], Awaitable[None]]
"""What else is written in the transaction of a chunk's invoices, by who uses billing."""


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


@asynccontextmanager
async def unlimited(connection: Connection) -> AsyncIterator[None]:
    """For what reads a whole month: lifts the session's limits, and leaves no temporary table behind, also when it ends
    in a refusal: the session goes back to a pool."""
    try:
        await connection.execute(_SQL["lift_limits"])
        await connection.execute(_SQL["drop_pending"])
        yield
    finally:
        if not connection.is_closed():
            await connection.execute(_SQL["drop_pending"])
            await connection.execute(_SQL["restore_limits"])


async def collect_pending(connection: Connection, period: Period, merchant_ids: Sequence[str] | None) -> int:
    """List whom to close in a temporary table, None = everybody; how many they are."""
    await connection.execute(
        _SQL["collect_pending"], period.first_day, period.ends_at, merchant_ids, timeout=_NO_LIMIT_S
    )
    await connection.execute(_SQL["index_pending"], timeout=_NO_LIMIT_S)
    return int(await connection.fetchval(_SQL["pending_count"]))


async def out_of_order(connection: Connection, period: Period) -> "Sequence[asyncpg.Record]":
    """Pending merchants with an open month before: <= 10 rows (merchant_id, merchants = how many in all)."""
    return await connection.fetch(_SQL["out_of_order"], period.previous.first_day, period.starts_at)


async def collect_windows(connection: Connection, window: Span) -> None:
    """List which tariff version prices what begins when, for every pending merchant, in a temporary table."""
    await connection.execute(_SQL["drop_windows"])
    await connection.execute(_SQL["collect_windows"], *window, timeout=_NO_LIMIT_S)
    await connection.execute(_SQL["index_windows"], timeout=_NO_LIMIT_S)


async def without_tariff(connection: Connection, window: Span) -> "Sequence[asyncpg.Record]":
    """Pending merchants without a price for all of the window: rows as above."""
    return await connection.fetch(_SQL["without_tariff"], *window)


async def mark(connection: Connection, period: Period, now: datetime) -> None:
    """Tell the writers, in a transaction of its own, that the period is closed for the pending merchants."""
    await connection.execute(_SQL["mark"], period.first_day, period.ends_at, now, timeout=_NO_LIMIT_S)


async def collect_usage(connection: Connection, window: Span) -> None:
    """Sum what begins in the window, and late calls, of the pending merchants, in one snapshot."""
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(_SQL["collect_lines"], *window, timeout=_NO_LIMIT_S)
        await connection.execute(_SQL["collect_late"], *window, timeout=_NO_LIMIT_S)
        await connection.execute(_SQL["index_collected"], timeout=_NO_LIMIT_S)


async def close_chunk(
    connection: Connection,
    period: Period,
    *,
    issuer: str,
    now: datetime,
    after: str,
    merchants: int,
    also: Also | None = None,
) -> Chunk:
    """Close the next merchants behind `after`, all of them or none; an empty chunk when none is left.

    Raises:
        InvoiceInconsistent: usage that does not add up, a call's cost against its units for example.
    """
    async with connection.transaction():
        owed = await read_owed(connection, period, after=after, merchants=merchants)
        charged = [one for one in owed if one.lines or one.late]
        serials = await _take_serials(connection, issuer, biz_date(now).year, len(charged))
        made = [_invoice(one, serial, period, now) for one, serial in zip(charged, serials, strict=True)]
        names = [one.buyer.merchant_id for one in owed]
        await _insert(connection, made)
        await _take_rests(
            connection, [(note, i.number) for i, one in zip(made, charged, strict=True) for note in one.notes]
        )
        await _complete(connection, names, made, period, now)
        if also is not None:
            await also(connection, made)
    return Chunk(list(names), made)


async def read_owed(connection: Connection, period: Period, *, after: str, merchants: int) -> list[Owed]:
    """What the next merchants behind `after` owe, out of the temporary tables."""
    rows = await connection.fetch(_SQL["chunk"], after, period.first_day, merchants)
    names = [row["merchant_id"] for row in rows]
    lines: dict[str, list[Line]] = defaultdict(list)
    for row in await connection.fetch(_SQL["chunk_lines"], names):
        lines[row["merchant_id"]].append(read_line(row))
    late: dict[str, list[Late]] = defaultdict(list)
    for row in await connection.fetch(_SQL["chunk_late"], names):
        late[row["merchant_id"]].append(Late(count=row["count"], amount=row["amount"], tax=read_tax(row)))
    return [
        Owed(read_buyer(row), lines[name], late[name], row["carried_in"], row["note_numbers"])
        for name, row in zip(names, rows, strict=True)
    ]


async def _take_serials(connection: Connection, issuer: str, year: int, count: int) -> list[Serial]:
    if count == 0:
        return []
    last: int = await connection.fetchval(_SQL["take_serials"], issuer, year, count)
    return [Serial(issuer=issuer, year=year, serial=n) for n in range(last - count + 1, last + 1)]


def _invoice(owed: Owed, serial: Serial, period: Period, now: datetime) -> Invoice:
    invoice = make_invoice(
        serial=serial,
        buyer=owed.buyer,
        period=period,
        closed_at=now,
        lines=owed.lines,
        late=owed.late,
        carried_in=owed.carried_in,
    )
    if found := problems(invoice):
        raise InvoiceInconsistent(f"merchant {owed.buyer.merchant_id!r}, {period}: {'; '.join(found)}")
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
    "adjustments_count": lambda i: i.late_count,
    "adjustments_total": lambda i: i.late_total,
    "total_exact": lambda i: i.total_exact,
    "tax_exact": lambda i: i.tax_exact,
    "carried_in": lambda i: i.carried_in,
    "balance": lambda i: i.balance,
    "amount_due": lambda i: i.amount_due,
    "carried_out": lambda i: i.carried_out,
}
_LINE: Final[dict[str, Callable[[Line], object]]] = {
    "item": lambda line: int(line.item),
    "kind": lambda line: str(line.kind),
    "tariff_id": lambda line: line.tariff_id,
    "tariff_version": lambda line: line.tariff_version,
    "rate": lambda line: line.rate,
    "unit_s": lambda line: line.unit_s,
    "tax_mode": lambda line: line.tax.mode,
    "tax_rate": lambda line: line.tax.rate,
    "starts_at": lambda line: line.starts_at,
    "ends_at": lambda line: line.ends_at,
    "count": lambda line: line.count,
    "quantity": lambda line: line.quantity,
    "amount": lambda line: line.amount,
}


async def _insert(connection: Connection, invoices: Sequence[Invoice]) -> None:
    heads = [tuple(value(invoice) for value in _HEAD.values()) for invoice in invoices]
    lines = [
        (invoice.number, line_no, *(value(line) for value in _LINE.values()))
        for invoice in invoices
        for line_no, line in enumerate(invoice.lines, start=1)
    ]
    taxes = [(invoice.number, *row) for invoice in invoices for row in _tax_rows(invoice)]
    await insert(connection, _SQL["insert_invoices"], heads)
    await insert(connection, _SQL["insert_lines"], lines)
    await insert(connection, _SQL["insert_taxes"], taxes)
    await _insert_adjustments(connection, [invoice for invoice in invoices if invoice.late])


def _tax_rows(invoice: Invoice) -> list[tuple[object, ...]]:
    late = {part.tax: part for part in invoice.late}
    none = Late(count=0, amount=ZERO)
    return [
        (of.tax.mode, of.tax.rate, of.base, (own := late.get(of.tax, none)).count, own.amount, of.added)
        for of in invoice.taxes
    ]


async def _insert_adjustments(connection: Connection, invoices: Sequence[Invoice]) -> None:
    merchants, numbers = [i.buyer.merchant_id for i in invoices], [i.number for i in invoices]
    rows = await connection.fetch(_SQL["insert_adjustments"], merchants, numbers, timeout=_NO_LIMIT_S)
    taken = {row["invoice_number"]: (row["count"], row["amount"]) for row in rows}
    wrong = [i.number for i in invoices if taken.get(i.number) != (i.late_count, i.late_total)]
    if wrong:
        raise InvoiceInconsistent(f"adjustments differ from their sum: {', '.join(wrong[:10])}")


async def _take_rests(connection: Connection, taken: Sequence[tuple[str, str]]) -> None:
    """The very notes whose rests were summed; one that was issued meanwhile waits for the next invoice."""
    await insert(connection, _SQL["insert_carries"], taken)


async def _complete(
    connection: Connection, merchants: Sequence[str], made: Sequence[Invoice], period: Period, now: datetime
) -> None:
    numbers = {invoice.buyer.merchant_id: invoice.number for invoice in made}
    rows = [(name, period.first_day, numbers.get(MerchantId(name)), now) for name in merchants]
    await insert(connection, _SQL["insert_closes"], rows)
