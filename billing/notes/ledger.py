"""Notes in the ledger: numbered, written once, read. Who writes holds the lock of the invoice (`lock_invoice`)."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from billing.errors import NoteExceedsInvoice, NoteNotFound
from billing.invoice import Invoice, InvoiceNumber, Item, MerchantId
from billing.invoices import read_tax
from billing.money import plain, total
from billing.notes.note import Cause, Note, NoteLine, NoteSerial, balance_of, make_note
from billing.periods import Period, Span, biz_date
from billing.queries import Connection, insert, load_queries

if TYPE_CHECKING:
    import asyncpg

Row: TypeAlias = "asyncpg.Record"

MOST_LISTED: Final = 1000

_SQL: Final = load_queries("notes")


class Corrected(NamedTuple):
    """An invoice with its notes. `notes` in order of their numbers; money exact but for `amount_due`.

    `takes` names the notes whose rests are in the invoice's carried_in.
    """

    notes: list[Note]
    takes: list[str]
    balance: Decimal
    amount_due: Decimal


async def lock_invoice(connection: Connection, number: str) -> None:
    """Keep other corrections of an invoice waiting until the end of the transaction."""
    assert connection.is_in_transaction()
    await connection.execute(_SQL["lock_invoice"], number)


async def add_note(
    connection: Connection, invoice: Invoice, lines: Sequence[NoteLine], cause: Cause, issuer: str
) -> Note:
    """Number a note and write it, in the transaction that holds the invoice's lock.

    Raises:
        NoteExceedsInvoice: all credits together would be more than the invoice and its debits.
    """
    await refuse_excess(connection, invoice, balance_of(lines))
    year = biz_date(cause.issued_at).year
    last: int = await connection.fetchval(_SQL["take_serial"], issuer, year)
    note = make_note(NoteSerial(issuer=issuer, year=year, serial=last), invoice, lines, cause)
    await _insert(connection, note)
    return note


async def refuse_excess(connection: Connection, invoice: Invoice, change: Decimal) -> None:
    """Raises NoteExceedsInvoice where an invoice with its notes, changed so, would come to less than nothing."""
    before = total([invoice.total_exact, invoice.tax_exact, await connection.fetchval(_SQL["balance"], invoice.number)])
    if change < 0 and total([before, change]) < 0:
        raise NoteExceedsInvoice(
            f"invoice {invoice.number} comes to {plain(before)} with its notes: "
            f"so much can be credited, and {plain(-change)} can not"
        )


_HEAD: Final[dict[str, Callable[[Note], object]]] = {
    "note_number": lambda n: n.number,
    "issuer": lambda n: n.serial.issuer,
    "year": lambda n: n.serial.year,
    "serial": lambda n: n.serial.serial,
    "kind": lambda n: n.kind,
    "source": lambda n: n.source,
    "tariff_id": lambda n: n.tariff_id,
    "invoice_number": lambda n: n.invoice_number,
    "merchant_id": lambda n: n.merchant_id,
    "period": lambda n: n.period.first_day,
    "issued_at": lambda n: n.issued_at,
    "author": lambda n: n.author,
    "reason": lambda n: n.reason,
    "total_exact": lambda n: n.total_exact,
    "tax_exact": lambda n: n.tax_exact,
    "amount_due": lambda n: n.amount_due,
    "carried_out": lambda n: n.carried_out,
}
_PLAIN: Final = (
    "text", "call_id", "order_id", "binding_id", "biz_date", "tariff_id", "tariff_version", "rate", "unit_s",
    "charged_quantity", "correct_quantity", "charged", "correct",
)  # fmt: skip


async def _insert(connection: Connection, note: Note) -> None:
    head = tuple(value(note) for value in _HEAD.values())
    lines = [(note.number, line_no, *_line_row(line)) for line_no, line in enumerate(note.lines, start=1)]
    await insert(connection, _SQL["insert_notes"], [head])
    await insert(connection, _SQL["insert_lines"], lines)


def _line_row(line: NoteLine) -> tuple[object, ...]:
    own = (int(line.item), line.kind, line.amount, line.tax.mode, line.tax.rate, line.added)
    return (*own, *(getattr(line, name) for name in _PLAIN))


async def get_note(connection: Connection, number: str) -> Note:
    """One note with its lines.

    Raises:
        NoteNotFound: no such number.
    """
    row = await connection.fetchrow(_SQL["head"], number)
    if row is None:
        raise NoteNotFound(f"no note {number!r}")
    return (await _with_lines(connection, [row]))[0]


async def list_notes(
    connection: Connection,
    *,
    invoice_number: str | None = None,
    period: Period | None = None,
    merchant_ids: Sequence[str] | None = None,
    issued: Span | None = None,
    after: Note | None = None,
    limit: int = MOST_LISTED,
) -> list[Note]:
    """Notes in order of their numbers; None means all; `period` is the invoices'; `after` ended the page before."""
    serial = after and after.serial
    rows = await connection.fetch(
        _SQL["listing"],
        invoice_number,
        period and period.first_day,
        merchant_ids,
        serial and serial.issuer,
        serial and serial.year,
        serial and serial.serial,
        min(limit, MOST_LISTED),
        issued and issued.starts_at,
        issued and issued.ends_at,
    )
    return await _with_lines(connection, rows)


async def correct(connection: Connection, invoice: Invoice) -> Corrected:
    """What an invoice comes to with all its notes."""
    notes: list[Note] = []
    while page := await list_notes(connection, invoice_number=invoice.number, after=notes[-1] if notes else None):
        notes += page
    return Corrected(
        notes=notes,
        takes=[row["note_number"] for row in await connection.fetch(_SQL["taken"], invoice.number)],
        balance=total([invoice.balance, *(note.balance for note in notes)]),
        amount_due=total([invoice.amount_due, *(note.amount_due for note in notes)]),
    )


async def carried_to(connection: Connection, number: str) -> str | None:
    """The invoice that took a note's rest into its carried_in; None until there is one."""
    found: str | None = await connection.fetchval(_SQL["taker"], number)
    return found


async def manual_lines(connection: Connection, number: str) -> Sequence[Row]:
    """Rows (call_id, binding_id, biz_date, amount): what manual notes changed about single calls, bindings and days."""
    return await connection.fetch(_SQL["corrected"], number)


async def rerated_lines(connection: Connection, number: str) -> Sequence[Row]:
    """Rows (kind, tariff_id, tariff_version, rate, unit_s, tax, quantity, amount): what re-ratings changed so far."""
    return await connection.fetch(_SQL["rerated"], number)


async def _with_lines(connection: Connection, heads: Sequence[Row]) -> list[Note]:
    lines: dict[str, list[NoteLine]] = {head["note_number"]: [] for head in heads}
    for row in await connection.fetch(_SQL["lines"], list(lines)):
        lines[row["note_number"]].append(_read_line(row))
    return [_read_note(head, lines[head["note_number"]]) for head in heads]


def _read_line(row: Row) -> NoteLine:
    return NoteLine(
        kind=row["kind"],
        item=Item(row["item"]),
        amount=row["amount"],
        tax=read_tax(row),
        **{name: row[name] for name in _PLAIN},
    )


def _read_note(row: Row, lines: Sequence[NoteLine]) -> Note:
    return Note(
        serial=NoteSerial(issuer=row["issuer"], year=row["year"], serial=row["serial"]),
        source=row["source"],
        tariff_id=row["tariff_id"],
        invoice_number=InvoiceNumber(row["invoice_number"]),
        merchant_id=MerchantId(row["merchant_id"]),
        period=Period.starting(row["period"]),
        issued_at=row["issued_at"],
        author=row["author"],
        reason=row["reason"],
        lines=tuple(lines),
        total_exact=row["total_exact"],
        tax_exact=row["tax_exact"],
        amount_due=row["amount_due"],
        carried_out=row["carried_out"],
    )
