"""Notes: credit and debit on closed invoices, by hand or by rating a month anew."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import msgspec

from vnum.api.answers import Answer, json_answer, utc
from vnum.api.auth import FINANCE
from vnum.api.bodies import Nothing, storable
from vnum.api.endpoint import Call, Endpoint
from vnum.api.idempotency import Once
from vnum.api.invoices import Month, invoice_number
from vnum.engine import Engine
from vnum.finance import Note, NoteLine, NoteNotFound, Rerated, RerateReport, plain, two_places
from vnum.model.refusals import Code, Refused
from vnum.service.notes import PAGE, NewNoteLine, NewRerating, Words
from vnum.service.orders import Name
from vnum.store.database import Connection


class NewNote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """author = who asks for it, in words; the key's id is kept in any case."""

    reason: Words
    lines: Annotated[list[NewNoteLine], msgspec.Meta(min_length=1, max_length=1000)]
    author: Name | None = None


class NoteQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`period` of the invoices. `after` = the number of the last note of the page before."""

    period: Month | None = None
    merchant_id: Name | None = None
    after: Name | None = None


class LineView(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """amount = correct - charged, CNY without added tax; what a line has nothing to say of is left out."""

    bill_item: int
    kind: str
    amount: str
    tax_mode: str
    tax_rate: str
    charged: str | None = None
    correct: str | None = None
    text: str | None = None
    call_id: str | None = None
    order_id: str | None = None
    binding_id: UUID | None = None
    biz_date: date | None = None
    tariff_id: str | None = None
    tariff_version: int | None = None
    rate: str | None = None
    unit_s: int | None = None
    charged_quantity: int | None = None
    correct_quantity: int | None = None


class NoteView(msgspec.Struct, frozen=True, kw_only=True):
    """amount_due is below zero where the merchant gets it; carried_out goes to his next invoice."""

    number: str
    kind: str
    source: str
    invoice_number: str
    merchant_id: str
    period: str
    issued_at: datetime
    author: str
    reason: str
    tariff_id: str | None
    total_exact: str
    tax_exact: str
    amount_due: str
    carried_out: str
    taxes: list[dict[str, str]]
    lines: list[LineView]


class NoteList(msgspec.Struct, frozen=True, omit_defaults=True):
    notes: list[NoteView]
    next: str | None = None


class RerateView(msgspec.Struct, frozen=True, kw_only=True):
    """notes = invoices with a difference. `found` has the first 1,000 of them and of the refused ones."""

    period: str
    tariff_id: str | None
    dry_run: bool
    invoices: int
    notes: int
    refused: int
    credits: str
    debits: str
    amount_due: str
    found: list[dict[str, object]]


class Notes:
    def __init__(self, engine: Engine) -> None:
        self._notes = engine.notes

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/invoices/rerate", FINANCE, self.rerate, NewRerating),
            Endpoint("POST", "/v1/invoices/{invoice_id}/notes", FINANCE, self.issue, NewNote),
            Endpoint("GET", "/v1/invoices/{invoice_id}/notes", FINANCE, self.of_invoice),
            Endpoint("GET", "/v1/notes", FINANCE, self.list, NoteQuery),
            Endpoint("GET", "/v1/notes/{note_number}", FINANCE, self.get),
        ]

    async def issue(self, call: Call, new: NewNote) -> Answer:
        """A credit or debit note on a closed invoice; 201."""
        author, once = _author(call, new.author), call.once

        async def keep(connection: Connection, note: Note) -> None:
            await _keep(once, connection, note)

        note = await self._notes.issue(
            invoice_number(call), new.lines, reason=new.reason, author=author, also=None if once is None else keep
        )
        return _made(note, kept=once is not None)

    async def rerate(self, call: Call, new: NewRerating) -> Answer:
        """Rates a closed month anew and notes the differences; a repeat finds none. With dry_run it only reports."""
        done = await self._notes.rerate(new, _author(call, new.author))
        return json_answer(200, rerate_view(done.report, done.found))

    async def of_invoice(self, call: Call, asked: Nothing) -> Answer:
        """The notes of an invoice, in order of their numbers."""
        _, corrected = await self._notes.of_invoice(invoice_number(call), call.caller.merchants)
        return json_answer(200, NoteList([view(note) for note in corrected.notes]))

    async def list(self, call: Call, asked: NoteQuery) -> Answer:
        """Up to 1,000 at a time, in order of their numbers."""
        found = await self._notes.page(
            period=asked.period, merchant_id=asked.merchant_id, tie=call.caller.merchants, after=asked.after
        )
        more = found[-1].number if len(found) == PAGE else None
        return json_answer(200, NoteList([view(note) for note in found], more))

    async def get(self, call: Call, asked: Nothing) -> Answer:
        """One note with its lines, and the invoice that took its rest."""
        number = call.named("note_number")
        if not storable(number):
            raise NoteNotFound("no note has such a number")
        note = await self._notes.get(number, call.caller.merchants)
        shown: dict[str, object] = msgspec.to_builtins(view(note))
        return json_answer(200, {**shown, "carried_to": await self._notes.carried_to(note)})


def view(note: Note) -> NoteView:
    return NoteView(
        number=note.number,
        kind=note.kind,
        source=note.source,
        invoice_number=note.invoice_number,
        merchant_id=note.merchant_id,
        period=str(note.period),
        issued_at=utc(note.issued_at),
        author=note.author,
        reason=note.reason,
        tariff_id=note.tariff_id,
        total_exact=plain(note.total_exact),
        tax_exact=plain(note.tax_exact),
        amount_due=two_places(note.amount_due),
        carried_out=plain(note.carried_out),
        taxes=[
            {"mode": of.tax.mode, "rate": plain(of.tax.rate), "base": plain(of.base), "added": plain(of.added)}
            for of in note.taxes
        ],
        lines=[_line(line) for line in note.lines],
    )


def _line(line: NoteLine) -> LineView:
    return LineView(
        bill_item=int(line.item),
        kind=line.kind,
        amount=plain(line.amount),
        tax_mode=line.tax.mode,
        tax_rate=plain(line.tax.rate),
        charged=None if line.charged is None else plain(line.charged),
        correct=None if line.correct is None else plain(line.correct),
        text=line.text,
        call_id=line.call_id,
        order_id=line.order_id,
        binding_id=line.binding_id,
        biz_date=line.biz_date,
        tariff_id=line.tariff_id,
        tariff_version=line.tariff_version,
        rate=None if line.rate is None else plain(line.rate),
        unit_s=line.unit_s,
        charged_quantity=line.charged_quantity,
        correct_quantity=line.correct_quantity,
    )


def rerate_view(report: RerateReport, found: list[Rerated]) -> RerateView:
    return RerateView(
        period=str(report.period),
        tariff_id=report.tariff_id,
        dry_run=report.dry_run,
        invoices=report.invoices,
        notes=report.notes,
        refused=report.refused,
        credits=plain(report.credits),
        debits=plain(report.debits),
        amount_due=two_places(report.amount_due),
        found=[_rerated(one) for one in found],
    )


def _rerated(one: Rerated) -> dict[str, object]:
    named: dict[str, object] = {"invoice_number": one.invoice_number, "merchant_id": one.merchant_id}
    if one.refused is not None:
        return {**named, "refused": one.refused, "detail": one.detail}
    money = {
        "charged": plain(one.charged),
        "difference": plain(one.difference),
        "amount_due": two_places(one.amount_due),
    }
    return {**named, **money, "note_number": one.note_number}


def _author(call: Call, words: str | None) -> str:
    """Who did it: the key, and whom it names. Raises Refused (forbidden)."""
    if call.caller.merchants is not None:
        raise Refused(Code.FORBIDDEN, "a key that is tied to merchants may not issue notes")
    return call.caller.key_id if words is None else f"{call.caller.key_id} ({words})"


def _made(note: Note, *, kept: bool) -> Answer:
    return json_answer(201, view(note), kept=kept)


async def _keep(once: Once | None, connection: Connection, note: Note) -> None:
    assert once is not None
    await once.keep(_made(note, kept=True), connection)
