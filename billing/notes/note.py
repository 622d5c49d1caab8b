"""What a credit or debit note is, as plain values (billing rule 6.13): lines that are differences, summed and rounded.

Amounts are signed as they change what the merchant owes: below zero in his favour. A note whose lines come to nothing
is not issued, so each one is either a credit or a debit.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal, NewType
from uuid import UUID

import msgspec

from billing.invoice import Invoice, InvoiceNumber, Item, Kind, MerchantId
from billing.money import difference, half_up, total
from billing.periods import Period
from billing.tax import Tax, TaxShare, added, share

NoteNumber = NewType("NoteNumber", str)

MOST_TEXT: Final = 500
WORDS: Final = f"1 to {MOST_TEXT} characters in one line"

Source = Literal["manual", "rerating"]
NoteKind = Literal["credit", "debit"]
LineKind = Literal["rental_day", "calendar_day", "call", "call_setup", "free_minutes", "late_call", "text"]


class NoteSerial(msgspec.Struct, frozen=True, kw_only=True):
    """A number in the notes' own gapless series of an issuer and year, written VNUM-NOTE-2026-000001."""

    issuer: str
    year: int
    serial: int

    @property
    def number(self) -> NoteNumber:
        """As printed. More than 999,999 in a year make it longer."""
        return NoteNumber(f"{self.issuer}-NOTE-{self.year:04}-{self.serial:06}")


class NoteLine(msgspec.Struct, frozen=True, kw_only=True):
    """amount = correct - charged, in CNY without added tax; a free line (kind "text") has an amount only.

    `call_id`, or `binding_id` and perhaps `biz_date`, where a line is about one call, binding or day. A line of a
    re-rating is about all that one tariff version prices at one rate, and has quantities (days, units of `unit_s`
    seconds, fees; free units below 0).
    """

    kind: LineKind
    item: Item
    amount: Decimal
    tax: Tax
    charged: Decimal | None = None
    correct: Decimal | None = None
    text: str | None = None
    call_id: str | None = None
    order_id: str | None = None
    binding_id: UUID | None = None
    biz_date: date | None = None
    tariff_id: str | None = None
    tariff_version: int | None = None
    rate: Decimal | None = None
    unit_s: int | None = None
    charged_quantity: int | None = None
    correct_quantity: int | None = None

    @property
    def added(self) -> Decimal:
        """The tax that comes on top, exact."""
        return added(self.tax, self.amount)


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A correction of one invoice; it never changes either. Money in CNY: exact, but for amount_due (two places).

    balance = total_exact + tax_exact; amount_due = balance rounded half up, below zero where the merchant gets it;
    carried_out = balance - amount_due goes to the merchant's next invoice. `tariff_id` = by which a re-rating priced,
    None where it was by the merchants' own tariffs.
    """

    serial: NoteSerial
    source: Source
    tariff_id: str | None
    invoice_number: InvoiceNumber
    merchant_id: MerchantId
    period: Period
    issued_at: datetime
    author: str
    reason: str
    lines: tuple[NoteLine, ...]
    total_exact: Decimal
    tax_exact: Decimal
    amount_due: Decimal
    carried_out: Decimal

    @property
    def number(self) -> NoteNumber:
        """Names the note everywhere."""
        return self.serial.number

    @property
    def balance(self) -> Decimal:
        """By how much the invoice changes, exactly."""
        return total([self.total_exact, self.tax_exact])

    @property
    def taxes(self) -> tuple[TaxShare, ...]:
        """What of it comes under each tax."""
        taxes = sorted({line.tax for line in self.lines}, key=lambda tax: (tax.mode, tax.rate))
        return tuple(share(tax, [line.amount for line in self.lines if line.tax == tax]) for tax in taxes)

    @property
    def kind(self) -> NoteKind:
        """By the sign of the balance."""
        return "credit" if self.balance < 0 else "debit"


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Who issues notes, when and why; `tariff_id` as in Note."""

    reason: str
    author: str
    issued_at: datetime
    source: Source = "manual"
    tariff_id: str | None = None

    def problems(self) -> list[str]:
        """Everything that is missing."""
        return [
            f"{name} must be {WORDS}"
            for name, text in (("reason", self.reason), ("author", self.author))
            if not is_words(text)
        ]


def is_words(text: str) -> bool:
    """Whether a text says something, in one line."""
    return 0 < len(text.strip()) <= MOST_TEXT and text.isprintable()


def item_of(kind: LineKind) -> Item:
    """The fixed `bill_item` of what is no free line."""
    return Item.CALL if kind == "late_call" else Kind(kind).item


def balance_of(lines: Sequence[NoteLine]) -> Decimal:
    """What lines come to with their added tax, exactly."""
    return total([*(line.amount for line in lines), *(line.added for line in lines)])


def problems(note: Note) -> list[str]:
    """Everything in a note that does not add up; empty for a sound one."""
    expected = {
        "total_exact": total(line.amount for line in note.lines),
        "tax_exact": total(line.added for line in note.lines),
        "amount_due": half_up(note.balance),
        "carried_out": difference(note.balance, note.amount_due),
    }
    return [
        f"{name} is {getattr(note, name)}, should be {value}"
        for name, value in expected.items()
        if getattr(note, name) != value
    ]


def make_note(serial: NoteSerial, invoice: Invoice, lines: Sequence[NoteLine], cause: Cause) -> Note:
    """A note out of its lines: summed, and rounded once (billing rule 6.7)."""
    balance = balance_of(lines)
    assert balance, "a note that comes to nothing is not issued"
    return Note(
        serial=serial,
        source=cause.source,
        tariff_id=cause.tariff_id,
        invoice_number=invoice.number,
        merchant_id=invoice.buyer.merchant_id,
        period=invoice.period,
        issued_at=cause.issued_at,
        author=cause.author,
        reason=cause.reason,
        lines=tuple(lines),
        total_exact=total(line.amount for line in lines),
        tax_exact=total(line.added for line in lines),
        amount_due=half_up(balance),
        carried_out=difference(balance, half_up(balance)),
    )
