"""Invoices: close a month, look at its invoices, and take them home as files."""

from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from aiohttp import web

from vnum.api.answers import Answer, json_answer, next_page, utc
from vnum.api.auth import FINANCE
from vnum.api.bodies import Nothing, storable
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.api.files import send_file
from vnum.engine import Engine
from vnum.finance import InvoiceNotFound, Kind, OneInvoice, draft_head, invoice_head, plain, two_places
from vnum.model.fields import Name
from vnum.model.refusals import Code, Refused
from vnum.service.invoices import PAGE, Format, Selection

Month = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$(?!\n)", description="A month, as 2026-10")]

_TYPES: Final = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.PDF: "application/pdf",
    Format.JSON: "application/json",
    Format.FAPIAO: "text/csv; charset=utf-8",
}


SENT: Final = tuple(dict.fromkeys(found.partition(";")[0] for found in _TYPES.values()))
UNSENT: Final = (Code.OVERLOADED, "invoice_inconsistent", "statement_failed")
"""Why there is no file of an invoice."""


class Close(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """merchant_id left out = all merchants."""

    period: Month
    merchant_id: Name | None = None


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """merchants, invoices: of the period so far. The sums (CNY) are over the invoices made by this very close."""

    period: str
    merchants: int
    invoices: int
    invoices_made: int
    total_exact: str
    tax_exact: str
    amount_due: str
    closed_at: datetime


class InvoiceQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` = `next` of the page before."""

    period: Month | None = None
    merchant_id: Name | None = None
    after: Name | None = None


class DraftQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` = `next` of the page before."""

    period: Month
    merchant_id: Name | None = None
    after: Name | None = None


class LineView(msgspec.Struct, frozen=True, kw_only=True):
    """What one tariff version priced in [starts_at, ends_at): amount = rate x quantity, in CNY. bill_item 0 = number
    rental, quantity in days; 1 = calls, in units of `unit_s` seconds, calls with a set-up fee, or free units below 0.
    `count` = bindings or calls."""

    bill_item: Literal[0, 1]
    kind: Kind
    tariff_id: str
    tariff_version: int
    rate: str
    unit_s: int | None
    tax_mode: Literal["included", "added"]
    tax_rate: str
    starts_at: datetime
    ends_at: datetime
    count: int
    quantity: int
    amount: str


class TaxShareView(msgspec.Struct, frozen=True, kw_only=True):
    """What comes under one tax: the amounts, and what is added to them, in CNY."""

    mode: Literal["included", "added"]
    rate: str
    base: str
    added: str


class BillView(msgspec.Struct, frozen=True, kw_only=True):
    """CNY, exact; only amount_due has two places. adjustments: what came late for closed months."""

    period: str
    merchant_id: str
    invoice_title: str | None
    tax_no: str | None
    lines: list[LineView]
    adjustments_count: int
    adjustments_total: str
    taxes: list[TaxShareView]
    total_exact: str
    tax_exact: str
    carried_in: str
    balance: str
    amount_due: str
    carried_out: str


class InvoiceView(BillView, frozen=True, kw_only=True):
    """A closed month of one merchant. CNY, exact; only amount_due has two places."""

    number: str
    state: Literal["closed"]
    closed_at: datetime


class NotedInvoiceView(InvoiceView, frozen=True, kw_only=True):
    """With its notes. carried_in_notes: those whose rests are in carried_in."""

    carried_in_notes: list[str]
    notes: list[str]
    balance_after_notes: str
    amount_due_after_notes: str


class DraftView(BillView, frozen=True, kw_only=True):
    """A month of one merchant that is not closed, as of an instant."""

    number: None
    state: Literal["draft"]
    as_of: datetime


class InvoiceList(msgspec.Struct, frozen=True, omit_defaults=True):
    """`next` = what to send as `after` for more."""

    invoices: list[InvoiceView]
    next: str | None = None


class DraftList(msgspec.Struct, frozen=True, omit_defaults=True):
    """`next` = what to send as `after` for more."""

    invoices: list[DraftView]
    next: str | None = None


class Export(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """bom = a CSV begins with a byte order mark, by which spreadsheets know that it is UTF-8."""

    format: Format
    bom: bool = False


class PeriodExport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As for one invoice."""

    period: Month
    format: Format
    bom: bool = False


class Invoices:
    def __init__(self, engine: Engine) -> None:
        self._invoices = engine.invoices
        self._notes = engine.notes

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/invoices/close", FINANCE, self.close, Close, patient=True),
            Endpoint("GET", "/v1/invoices", FINANCE, self.list, InvoiceQuery),
            Endpoint("GET", "/v1/invoices/draft", FINANCE, self.drafts, DraftQuery, patient=True),
            Endpoint("GET", "/v1/invoices/export", FINANCE, self.export_period, PeriodExport, patient=True),
            Endpoint("GET", "/v1/invoices/{invoice_id}", FINANCE, self.get),
            Endpoint("GET", "/v1/invoices/{invoice_id}/export", FINANCE, self.export, Export, patient=True),
        ]

    @answers(
        Closed,
        refuses=(
            Code.MERCHANT_NOT_FOUND,
            Code.PERIOD_NOT_OVER,
            Code.PERIOD_OUT_OF_ORDER,
            "tariff_missing",
            "invoice_inconsistent",
            Code.CLOSE_BLOCKED,
        ),
    )
    async def close(self, call: Call, asked: Close) -> Answer:
        """Closes a month once; a repeat changes nothing."""
        if call.caller.merchants is not None:
            raise Refused(Code.FORBIDDEN, "a key that is tied to merchants may not close a month")
        report = await self._invoices.close(asked.period, asked.merchant_id)
        closed = Closed(
            period=str(report.period),
            merchants=report.merchants,
            invoices=report.invoices,
            invoices_made=report.invoices_made,
            total_exact=plain(report.total_exact),
            tax_exact=plain(report.tax_exact),
            amount_due=two_places(report.amount_due),
            closed_at=utc(report.closed_at),
        )
        return json_answer(200, closed)

    @answers(InvoiceList, refuses=(Code.INVOICE_NOT_FOUND,))
    async def list(self, call: Call, asked: InvoiceQuery) -> Answer:
        """Up to 1,000 at a time, by period and merchant."""
        found = await self._invoices.page(
            period=asked.period, merchant_id=asked.merchant_id, tie=call.caller.merchants, after=asked.after
        )
        more = found[-1].number if len(found) == PAGE else None
        return json_answer(200, {"invoices": [invoice_head(invoice) for invoice in found], **next_page(more)})

    @answers(DraftList, refuses=(Code.MERCHANT_NOT_FOUND, "tariff_missing", "invoice_inconsistent"))
    async def drafts(self, call: Call, asked: DraftQuery) -> Answer:
        """A month that is not closed, as it stands now: up to 1,000 merchants at a time, by id."""
        found = await self._invoices.drafts(
            asked.period, merchant_id=asked.merchant_id, tie=call.caller.merchants, after=asked.after or ""
        )
        more = found[-1].buyer.merchant_id if len(found) == PAGE else None
        return json_answer(200, {"invoices": [draft_head(draft) for draft in found], **next_page(more)})

    @answers(NotedInvoiceView, refuses=(Code.INVOICE_NOT_FOUND,))
    async def get(self, call: Call, asked: Nothing) -> Answer:
        """One invoice with its lines, and what it comes to with its notes; the details are in its exports."""
        invoice, corrected = await self._notes.of_invoice(invoice_number(call), call.caller.merchants)
        with_notes = {
            "carried_in_notes": corrected.takes,
            "notes": [note.number for note in corrected.notes],
            "balance_after_notes": plain(corrected.balance),
            "amount_due_after_notes": two_places(corrected.amount_due),
        }
        return json_answer(200, {**invoice_head(invoice), **with_notes})

    @answers(sends=SENT, refuses=(Code.INVOICE_NOT_FOUND, *UNSENT))
    async def export(self, call: Call, asked: Export) -> web.StreamResponse:
        """One invoice as a file: csv and json with every detail row, xlsx, pdf (a statement), fapiao."""
        invoice = await self._invoices.get(invoice_number(call), call.caller.merchants)
        return await self._send(call, OneInvoice(number=invoice.number), asked, f"invoice-{invoice.number}")

    @answers(sends=SENT, refuses=(Code.PERIOD_NOT_CLOSED, *UNSENT))
    async def export_period(self, call: Call, asked: PeriodExport) -> web.StreamResponse:
        """All merchants of a month in one file."""
        selection = await self._invoices.of_period(asked.period, call.caller.merchants)
        return await self._send(call, selection, asked, f"invoices-{asked.period}")

    async def _send(
        self, call: Call, selection: Selection, asked: Export | PeriodExport, name: str
    ) -> web.StreamResponse:
        """Raises Refused (overloaded, invalid_request), BillingRefusal."""
        form = asked.format
        async with aclosing(self._invoices.export(selection, form, bom=asked.bom)) as pieces:
            return await send_file(call, pieces, _TYPES[form], f"{name}.{form.ending}")


def invoice_number(call: Call) -> str:
    """Raises InvoiceNotFound."""
    number = call.named("invoice_id")
    if not storable(number):
        raise InvoiceNotFound("no invoice has such a number")
    return number
