"""A bill without its rows, and a note with its lines, ready for JSON."""

from billing.export.cells import instant
from billing.invoice import Bill, Draft, Invoice, Line
from billing.money import plain, two_places
from billing.notes.note import Note, NoteLine
from billing.tax import TaxShare


def invoice_head(invoice: Invoice) -> dict[str, object]:
    """A closed invoice. Only amount_due has two places."""
    return {"number": invoice.number, "state": "closed", "closed_at": instant(invoice.closed_at), **bill_head(invoice)}


def draft_head(draft: Draft) -> dict[str, object]:
    """The same of a month that is not closed."""
    return {"number": None, "state": "draft", "as_of": instant(draft.as_of), **bill_head(draft)}


def bill_head(bill: Bill) -> dict[str, object]:
    """What both have."""
    return {
        "period": str(bill.period),
        "merchant_id": bill.buyer.merchant_id,
        "invoice_title": bill.buyer.invoice_title,
        "tax_no": bill.buyer.tax_no,
        "lines": [_line(line) for line in bill.lines],
        "adjustments_count": bill.late_count,
        "adjustments_total": plain(bill.late_total),
        "taxes": [_tax(of) for of in bill.taxes],
        "total_exact": plain(bill.total_exact),
        "tax_exact": plain(bill.tax_exact),
        "carried_in": plain(bill.carried_in),
        "balance": plain(bill.balance),
        "amount_due": two_places(bill.amount_due),
        "carried_out": plain(bill.carried_out),
    }


def note_head(note: Note) -> dict[str, object]:
    """A note. What a line has nothing to say of is left out."""
    return {
        "number": note.number,
        "kind": note.kind,
        "source": note.source,
        "invoice_number": note.invoice_number,
        "merchant_id": note.merchant_id,
        "period": str(note.period),
        "issued_at": instant(note.issued_at),
        "author": note.author,
        "reason": note.reason,
        "tariff_id": note.tariff_id,
        "total_exact": plain(note.total_exact),
        "tax_exact": plain(note.tax_exact),
        "amount_due": two_places(note.amount_due),
        "carried_out": plain(note.carried_out),
        "taxes": [_tax(of) for of in note.taxes],
        "lines": [_note_line(line) for line in note.lines],
    }


def _note_line(line: NoteLine) -> dict[str, object]:
    told: dict[str, object] = {
        "bill_item": int(line.item),
        "kind": line.kind,
        "amount": plain(line.amount),
        "tax_mode": line.tax.mode,
        "tax_rate": plain(line.tax.rate),
        "charged": None if line.charged is None else plain(line.charged),
        "correct": None if line.correct is None else plain(line.correct),
        "text": line.text,
        "call_id": line.call_id,
        "order_id": line.order_id,
        "binding_id": line.binding_id and str(line.binding_id),
        "biz_date": line.biz_date and line.biz_date.isoformat(),
        "tariff_id": line.tariff_id,
        "tariff_version": line.tariff_version,
        "rate": None if line.rate is None else plain(line.rate),
        "unit_s": line.unit_s,
        "charged_quantity": line.charged_quantity,
        "correct_quantity": line.correct_quantity,
    }
    return {name: value for name, value in told.items() if value is not None}


def _tax(of: TaxShare) -> dict[str, object]:
    return {"mode": of.tax.mode, "rate": plain(of.tax.rate), "base": plain(of.base), "added": plain(of.added)}


def _line(line: Line) -> dict[str, object]:
    return {
        "bill_item": int(line.item),
        "kind": line.kind,
        "tariff_id": line.tariff_id,
        "tariff_version": line.tariff_version,
        "rate": plain(line.rate),
        "unit_s": line.unit_s,
        "tax_mode": line.tax.mode,
        "tax_rate": plain(line.tax.rate),
        "starts_at": instant(line.starts_at),
        "ends_at": instant(line.ends_at),
        "count": line.count,
        "quantity": line.quantity,
        "amount": plain(line.amount),
    }
