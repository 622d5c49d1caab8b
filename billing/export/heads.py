"""A bill without its rows, ready for JSON."""

from billing.export.cells import instant
from billing.invoice import Bill, Draft, Invoice, Line
from billing.money import plain, two_places
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
