"""What a credit or debit note says, as text: the input of papers.typ."""

from decimal import Decimal

import msgspec

from billing.export.capitals import in_capitals
from billing.export.figures import Text, cents, exact, second, tax_rows
from billing.export.issuer import NOBODY, Issuer
from billing.invoice import RENTAL_KINDS, Buyer, Item, Kind
from billing.notes.note import Note, NoteKind, NoteLine

NOTHING = "—"


class NotePaper(msgspec.Struct, frozen=True, kw_only=True, tag="note"):
    """One note. Numbers in groups of three, money exact, instants by Asia/Shanghai. `rerated`: by `tariff`, or by the
    merchant's own where that is None."""

    number: str
    kind: NoteKind
    issuer: str
    issuer_tax_no: str | None
    invoice_number: str
    period: str
    merchant_id: str
    title: str
    tax_no: str
    issued_at: str
    author: str
    reason: str
    rerated: bool
    tariff: str | None
    lines: list[Text]
    taxes: list[Text]
    total_exact: str
    tax_exact: str
    balance: str
    amount_due: str
    in_capitals: str
    carried_out: str


def note_paper(note: Note, buyer: Buyer, issuer: Issuer = NOBODY) -> NotePaper:
    """`buyer` as on the invoice that is corrected."""
    return NotePaper(
        number=note.number,
        kind=note.kind,
        issuer=issuer.beside(note.serial.issuer),
        issuer_tax_no=issuer.tax_no,
        invoice_number=note.invoice_number,
        period=str(note.period),
        merchant_id=note.merchant_id,
        title=buyer.invoice_title or NOTHING,
        tax_no=buyer.tax_no or NOTHING,
        issued_at=second(note.issued_at),
        author=note.author,
        reason=note.reason,
        rerated=note.source == "rerating",
        tariff=note.tariff_id,
        lines=[_line(line) for line in note.lines],
        taxes=tax_rows(note.taxes),
        total_exact=exact(note.total_exact),
        tax_exact=exact(note.tax_exact),
        balance=exact(note.balance),
        amount_due=cents(note.amount_due),
        in_capitals=in_capitals(note.amount_due),
        carried_out=exact(note.carried_out),
    )


def _line(line: NoteLine) -> Text:
    quantities = (line.charged_quantity, line.correct_quantity)
    charged, correct = (None if quantity is None else f"{quantity:,}" for quantity in quantities)
    return {
        "kind": _named(line),
        "text": line.text,
        "call_id": line.call_id,
        "order_id": line.order_id,
        "binding_id": None if line.binding_id is None else str(line.binding_id),
        "date": None if line.biz_date is None else line.biz_date.isoformat(),
        "tariff": line.tariff_id,
        "version": None if line.tariff_version is None else str(line.tariff_version),
        "rate": None if line.rate is None else exact(line.rate),
        "unit": _unit(line),
        "charged_quantity": charged,
        "correct_quantity": correct,
        "charged": _or_nothing(line.charged),
        "correct": _or_nothing(line.correct),
        "amount": exact(line.amount),
    }


def _named(line: NoteLine) -> str:
    """A free line is named by its item."""
    if line.kind != "text":
        return line.kind
    return Kind.RENTAL_DAY if line.item is Item.RENTAL else Kind.CALL


def _unit(line: NoteLine) -> str | None:
    """As on a statement: None = days."""
    if line.kind in RENTAL_KINDS:
        return None
    return "call" if line.kind == "call_setup" else str(line.unit_s)


def _or_nothing(amount: Decimal | None) -> str:
    return NOTHING if amount is None else exact(amount)
