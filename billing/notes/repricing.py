"""One invoice's usage, streamed once and priced twice: by its own terms and by others (billing rule 6.13).

By its own terms it has to come to the invoice to the last digit: where usage was lost or changed since the close, a
difference would be none of the prices.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias

from billing.details import CallTerms, call_row, days_at_least, rental_rows, unpriced
from billing.invoice import RENTAL_KINDS, Invoice, Line
from billing.invoices import read_tax
from billing.money import EXACT, ZERO, difference, total
from billing.notes import ledger as note_ledger
from billing.notes.note import Cause, LineKind, NoteLine, item_of
from billing.notes.terms import Key, Priced, Terms
from billing.periods import Span
from billing.queries import Connection, load_queries
from billing.recount import Recount
from billing.tariff_ledger import assignments
from billing.tariffs import Assignment, TariffBook, TariffId
from billing.tax import added

if TYPE_CHECKING:
    import asyncpg

Row: TypeAlias = "asyncpg.Record"

_SQL: Final = load_queries("rerate")
_PREFETCH_ROWS: Final = 1000
_NO_LIMIT_S: Final = 86_400
_ALWAYS: Final = datetime(1, 1, 2, tzinfo=UTC)
_ORDER: Final[tuple[LineKind, ...]] = (
    "rental_day", "calendar_day", "call", "call_setup", "free_minutes", "late_call",
)  # fmt: skip


async def terms_of(connection: Connection, invoice: Invoice, book: TariffBook, cause: Cause) -> Terms:
    """By the tariff that the cause names, else by what the merchant is assigned to now."""
    merchant = invoice.buyer.merchant_id
    if cause.tariff_id is None:
        given = await assignments(connection, [merchant])
    else:
        tariff_id = TariffId(cause.tariff_id)
        given = [Assignment(merchant_id=merchant, effective_from=_ALWAYS, tariff_id=tariff_id)]
    opened_at = await connection.fetchval(_SQL["opened_at"], merchant)
    return Terms(book, given, invoice.period.span, opened_at)


class _Sum:
    """A quantity and an amount."""

    __slots__ = ("amount", "quantity")

    def __init__(self) -> None:
        self.quantity = 0
        self.amount = ZERO

    def add(self, quantity: int, amount: Decimal) -> None:
        self.quantity += quantity
        self.amount = EXACT.add(self.amount, amount)


class Compared:
    """What was charged and what would be correct, by what a tariff version prices at a rate."""

    def __init__(self, invoice: Invoice) -> None:
        self._charged: dict[Key, _Sum] = defaultdict(_Sum)
        self._correct: dict[Key, _Sum] = defaultdict(_Sum)
        for line in invoice.lines:
            self.was(_key_of(line), line.quantity, line.amount)

    def was(self, key: Key, quantity: int, amount: Decimal) -> None:
        """The invoice, or an earlier re-rating, charged this."""
        self._charged[key].add(quantity, amount)

    def should_be(self, parts: Iterator[Priced]) -> None:
        """The new terms charge this."""
        for key, quantity, amount in parts:
            self._correct[key].add(quantity, amount)

    @property
    def balance(self) -> Decimal:
        """What was charged, with added tax, exactly."""
        return total(total([of.amount, added(key.tax, of.amount)]) for key, of in self._charged.items())

    def lines(self) -> Iterator[NoteLine]:
        """A line for each difference."""
        for key in sorted({*self._charged, *self._correct}, key=_order):
            charged, correct = self._charged[key], self._correct[key]
            if charged.amount != correct.amount:
                yield NoteLine(
                    kind=key.kind,
                    item=item_of(key.kind),
                    amount=difference(correct.amount, charged.amount),
                    tax=key.tax,
                    charged=charged.amount,
                    correct=correct.amount,
                    tariff_id=key.tariff_id,
                    tariff_version=key.tariff_version,
                    rate=key.rate,
                    unit_s=key.unit_s,
                    charged_quantity=charged.quantity,
                    correct_quantity=correct.quantity,
                )


async def compare(connection: Connection, invoice: Invoice, terms: Terms) -> "Compared":
    """All usage of the invoice, and its earlier re-ratings, in the caller's transaction.

    Raises:
        InvoiceInconsistent: the usage does not come to the invoice any more.
        TariffMissing: the new terms have no price for a part of it.
    """
    recount, compared = Recount(invoice), Compared(invoice)
    await _read_rentals(connection, invoice, terms, compared, recount)
    await _read_calls(connection, invoice, terms, compared, recount)
    async for row in _rows(connection, "adjustments", invoice.number):
        tax = read_tax(row)
        recount.late(call_row(invoice, row, tax, 0, "late_call"))
        key = Key("late_call", row["tariff_id"], row["tariff_version"], row["rate"], row["unit_s"], tax)
        compared.was(key, row["units"], row["amount"])
        compared.should_be(terms.late_call(row["answered_at"], row["released_at"]))
    recount.verify()
    for row in await note_ledger.rerated_lines(connection, invoice.number):
        key = Key(row["kind"], row["tariff_id"], row["tariff_version"], row["rate"], row["unit_s"], read_tax(row))
        compared.was(key, row["quantity"], row["amount"])
    return compared


async def _read_rentals(
    connection: Connection, invoice: Invoice, terms: Terms, compared: Compared, recount: Recount
) -> None:
    days = [line for line in invoice.lines if line.kind in RENTAL_KINDS]
    gaps = list(unpriced(invoice.period.span, [Span(line.starts_at, line.ends_at) for line in days]))
    async for row in _rows(connection, "rentals", invoice.buyer.merchant_id, *invoice.period.span):
        rental = Span(row["bound_at"], row["ended_at"])
        recount.miss(days_at_least(rental, gaps))
        for line in days:
            for detail in rental_rows(invoice.number, line, row, "binding"):
                recount.rental(line, detail)
        compared.should_be(terms.rental(rental))


async def _read_calls(
    connection: Connection, invoice: Invoice, terms: Terms, compared: Compared, recount: Recount
) -> None:
    own = CallTerms(invoice.lines)
    async for row in _rows(connection, "calls", invoice.buyer.merchant_id, *invoice.period.span):
        if row["charged"]:
            recount.call(call_row(invoice, row, own.tax(row), own.take_free(row)))
        price = terms.late_call if row["late"] else terms.call
        compared.should_be(price(row["answered_at"], row["released_at"]))


def _rows(connection: Connection, query: str, *args: object) -> AsyncIterator[Row]:
    return aiter(connection.cursor(_SQL[query], *args, prefetch=_PREFETCH_ROWS, timeout=_NO_LIMIT_S))


def _key_of(line: Line) -> Key:
    return Key(line.kind.value, line.tariff_id, line.tariff_version, line.rate, line.unit_s, line.tax)


def _order(key: Key) -> tuple[object, ...]:
    return _ORDER.index(key.kind), *key[1:4], key.unit_s or 0, key.tax.mode, key.tax.rate
