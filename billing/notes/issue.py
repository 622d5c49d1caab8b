"""Manual credit and debit notes: somebody puts a closed invoice right, with a reason (billing rule 6.13).

A correction is about one call, about one binding or a day of it, or free. Of calls and bindings it takes back what was
charged for them, all that is left of it or a part, never more; a free line gives or takes any amount. Amounts are
signed as they change what the merchant owes: below zero in his favour. Tax is as the invoice charged it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Final, TypeAlias
from uuid import UUID

import msgspec

from billing.errors import NoteExceedsInvoice, NoteInvalid
from billing.invoice import DEFAULT_ISSUER, Detail, Invoice, Item
from billing.invoices import get_invoice
from billing.money import plain, total
from billing.notes import ledger as note_ledger
from billing.notes.charges import charged_calls, charged_days
from billing.notes.note import WORDS, Cause, Note, NoteLine, balance_of, is_words
from billing.queries import Connection
from billing.tax import Tax

MOST_LINES: Final = 1000
MOST_PLACES: Final = 12
MOST: Final = 1_000_000_000


class CallCredit(msgspec.Struct, frozen=True, kw_only=True):
    """Takes back the cost of a call: what is left of it, or `amount` (below zero) of it."""

    call_id: str
    amount: Decimal | None = None


class BindingCredit(msgspec.Struct, frozen=True, kw_only=True):
    """Takes back the rental that the invoice charged for a binding, or for its day that began on `biz_date`."""

    binding_id: UUID
    biz_date: date | None = None
    amount: Decimal | None = None


class FreeLine(msgspec.Struct, frozen=True, kw_only=True):
    """Any amount, with a text. `tax` is to be named where the invoice charged the item under several."""

    item: Item
    amount: Decimal
    text: str
    tax: Tax | None = None


Correction: TypeAlias = CallCredit | BindingCredit | FreeLine


async def issue_note(
    connection: Connection,
    invoice_number: str,
    corrections: Sequence[Correction],
    cause: Cause,
    *,
    issuer: str = DEFAULT_ISSUER,
) -> Note:
    """Issue one note on a closed invoice, in a transaction of its own or the caller's.

    Raises:
        InvoiceNotFound: no such number.
        NoteInvalid: with every problem found.
        NoteExceedsInvoice: more would be credited than was charged, for a call, a binding, or in all.
    """
    async with connection.transaction():
        await note_ledger.lock_invoice(connection, invoice_number)
        invoice = await get_invoice(connection, invoice_number)
        draft = await _draft(connection, invoice, corrections, problems(corrections, cause))
        return await note_ledger.add_note(connection, invoice, draft.lines, cause, issuer)


def problems(corrections: Sequence[Correction], cause: Cause) -> list[str]:
    """Everything that speaks against a note by itself, whatever the invoice."""
    found = cause.problems()
    if not 0 < len(corrections) <= MOST_LINES:
        found.append(f"a note has 1 to {MOST_LINES} lines")
    for n, correction in enumerate(corrections, start=1):
        found += [f"line {n}: {text}" for text in _own_problems(correction)]
    return found + _twice(corrections)


def _own_problems(correction: Correction) -> Iterable[str]:
    amount = correction.amount
    if amount is not None:
        if not amount.is_finite() or not amount or abs(amount) >= MOST:
            yield f"amount must be a plain amount other than 0 and below {MOST}"
        elif int(amount.as_tuple().exponent) < -MOST_PLACES:
            yield f"amount must have at most {MOST_PLACES} places"
        elif amount > 0 and not isinstance(correction, FreeLine):
            yield "amount must be below 0: a call or a binding is credited; to charge more, take a line with a text"
    if isinstance(correction, FreeLine) and not is_words(correction.text):
        yield f"text must be {WORDS}"


def _twice(corrections: Sequence[Correction]) -> list[str]:
    calls = Counter(c.call_id for c in corrections if isinstance(c, CallCredit))
    days = Counter((c.binding_id, c.biz_date) for c in corrections if isinstance(c, BindingCredit))
    whole = {binding_id for binding_id, day in days if day is None}
    found = [f"call {call_id} stands twice" for call_id, times in calls.items() if times > 1]
    found += [f"binding {binding_id} stands twice" for (binding_id, _), times in days.items() if times > 1]
    return found + [
        f"binding {binding_id} stands as a whole and by a day"
        for binding_id, day in days
        if day and binding_id in whole
    ]


async def _draft(
    connection: Connection, invoice: Invoice, corrections: Sequence[Correction], found: list[str]
) -> "_Draft":
    """The lines of a note. Raises NoteInvalid, NoteExceedsInvoice."""
    calls = [c.call_id for c in corrections if isinstance(c, CallCredit)]
    bindings = [c.binding_id for c in corrections if isinstance(c, BindingCredit)]
    draft = _Draft(invoice, found)
    draft.calls = await charged_calls(connection, invoice, calls) if calls else {}
    draft.days = await charged_days(connection, invoice, bindings) if bindings else {}
    for row in await note_ledger.manual_lines(connection, invoice.number):
        draft.remember(row["call_id"] or row["binding_id"], row["biz_date"], row["amount"])
    for n, correction in enumerate(corrections, start=1):
        if not any(_own_problems(correction)):
            draft.add(f"line {n}", correction)
    draft.verify()
    return draft


class _Draft:
    """A note's lines as they come about, with what speaks against them."""

    def __init__(self, invoice: Invoice, found: list[str]) -> None:
        self.invoice = invoice
        self.lines: list[NoteLine] = []
        self.calls: dict[str, Detail] = {}
        self.days: dict[UUID, list[Detail]] = {}
        self._found = found
        self._exceeding: list[str] = []
        self._earlier: dict[object, Decimal] = defaultdict(Decimal)

    def remember(self, about: str | UUID, day: date | None, amount: Decimal) -> None:
        """An earlier note changed what was charged for a call, a binding, a day."""
        self._earlier[about] = total([self._earlier[about], amount])
        if day is not None:
            self._earlier[about, day] = total([self._earlier[about, day], amount])

    def add(self, name: str, correction: Correction) -> None:
        """Turn a correction into lines."""
        match correction:
            case CallCredit(call_id=call_id):
                rows = [self.calls[call_id]] if call_id in self.calls else []
                self._credit(name, correction, rows, f"call {call_id}")
            case BindingCredit(binding_id=binding_id, biz_date=day):
                rows = [row for row in self.days.get(binding_id, ()) if day in (None, row.biz_date)]
                self._credit(name, correction, rows, f"binding {binding_id}" + (f" on {day}" if day else ""))
            case FreeLine():
                self._free(name, correction)

    def _credit(self, name: str, asked: CallCredit | BindingCredit, rows: list[Detail], what: str) -> None:
        if not rows:
            self._found.append(f"{name}: invoice {self.invoice.number} has no {what}")
            return
        left = self._left(rows, asked)
        amount = -left if asked.amount is None else asked.amount
        if not amount or total([left, amount]) < 0:
            self._exceeding.append(f"{name}: {plain(left)} of {what} is left to be credited")
        elif len({row.tax for row in rows}) > 1 and total([row.cost for row in rows]) != -amount:
            self._found.append(f"{name}: the days of {what} have several taxes; name each by its biz_date")
        else:
            self._write(asked, rows, left, amount)

    def _left(self, rows: list[Detail], asked: CallCredit | BindingCredit) -> Decimal:
        """What was charged and is not credited yet: of a day no more than of its whole binding."""
        charged = total(row.cost for row in rows)
        if isinstance(asked, CallCredit):
            return total([charged, self._earlier[asked.call_id]])
        whole = total([*(row.cost for row in self.days[asked.binding_id]), self._earlier[asked.binding_id]])
        day = asked.biz_date
        return whole if day is None else min(whole, total([charged, self._earlier[asked.binding_id, day]]))

    def _write(self, asked: CallCredit | BindingCredit, rows: list[Detail], left: Decimal, amount: Decimal) -> None:
        """One line, or one for each tax where all of several taxes is taken back."""
        taxes = dict.fromkeys(row.tax for row in rows)
        for tax in taxes:
            under = [row for row in rows if row.tax == tax]
            charged, change = left, amount
            if len(taxes) > 1:
                charged = total(row.cost for row in under)
                change = -charged
            if change:
                line = _line(asked, under, charged, change)
                self.lines.append(line)
                self.remember(line.call_id or under[0].binding_id, line.biz_date, change)

    def _free(self, name: str, asked: FreeLine) -> None:
        taxes = taxes_of(self.invoice, asked.item)
        tax = asked.tax or (taxes[0] if len(taxes) == 1 else None)
        if tax not in taxes:
            names = " or ".join(f"{of.mode} {plain(of.rate)}" for of in taxes)
            self._found.append(f"{name}: the invoice has other taxes there; name one: {names}")
        elif tax is not None:
            line = NoteLine(kind="text", item=asked.item, amount=asked.amount, tax=tax, text=asked.text)
            self.lines.append(line)

    def verify(self) -> None:
        """Raises NoteInvalid, NoteExceedsInvoice."""
        if not self._found and not self._exceeding and not balance_of(self.lines):
            self._found.append("the lines come to nothing: neither credit nor debit")
        if self._found:
            raise NoteInvalid("; ".join([*self._found, *self._exceeding]))
        if self._exceeding:
            raise NoteExceedsInvoice("; ".join(self._exceeding))


def taxes_of(invoice: Invoice, item: Item) -> list[Tax]:
    """The taxes under which an invoice charged an item; all of its taxes where it did not charge the item."""
    found = [line.tax for line in invoice.lines if line.item is item]
    found += [late.tax for late in invoice.late if item is Item.CALL]
    return list(dict.fromkeys(found or [share.tax for share in invoice.taxes]))


def _line(asked: CallCredit | BindingCredit, rows: list[Detail], charged: Decimal, change: Decimal) -> NoteLine:
    first = rows[0]
    one_price = len({(row.kind, row.tariff_id, row.tariff_version, row.rate) for row in rows}) == 1
    return NoteLine(
        kind=first.kind,
        item=first.bill_item,
        amount=change,
        tax=first.tax,
        charged=charged,
        correct=total([charged, change]),
        call_id=first.call_id,
        order_id=first.order_id,
        binding_id=first.binding_id,
        biz_date=asked.biz_date if isinstance(asked, BindingCredit) else first.biz_date,
        tariff_id=first.tariff_id if one_price else None,
        tariff_version=first.tariff_version if one_price else None,
        rate=first.rate if one_price else None,
        unit_s=first.unit_s,
    )
