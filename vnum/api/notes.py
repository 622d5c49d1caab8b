"""Notes: credit and debit on closed invoices, by hand or by rating a month anew."""

from contextlib import aclosing
from datetime import date, datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from aiohttp import web

from vnum.api.answers import Answer, json_answer, next_page
from vnum.api.auth import FINANCE
from vnum.api.bodies import Nothing, storable
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.api.files import send_file
from vnum.api.idempotency import Once
from vnum.api.invoices import UNSENT, Month, TaxShareView, invoice_number
from vnum.engine import Engine
from vnum.finance import Note, NoteNotFound, Rerated, RerateReport, note_head, plain, two_places
from vnum.model.fields import Name
from vnum.model.refusals import Code, Refused
from vnum.service.notes import PAGE, NewNoteLine, NewRerating, NoteFormat, Words
from vnum.store.database import Connection

TYPES: Final = {NoteFormat.PDF: "application/pdf", NoteFormat.JSON: "application/json"}


class NewNote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """author = who asks for it, in words; the key's id is kept in any case."""

    reason: Words
    lines: Annotated[list[NewNoteLine], msgspec.Meta(min_length=1, max_length=1000)]
    author: Name | None = None


class NoteQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`period` of the invoices. `after` = `next` of the page before."""

    period: Month | None = None
    merchant_id: Name | None = None
    after: Name | None = None


class NoteExport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: NoteFormat


class NoteLineView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`amount` in CNY, below zero in the merchant's favour; `charged` and `correct` are what it is the difference of.
    What there is nothing to say of is left out."""

    bill_item: Literal[0, 1]
    kind: Literal["rental_day", "calendar_day", "call", "call_setup", "free_minutes", "late_call", "text"]
    amount: str
    tax_mode: Literal["included", "added"]
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
    """A credit or debit note. CNY, exact, below zero in the merchant's favour; only amount_due has two places."""

    number: str
    kind: Literal["credit", "debit"]
    source: Literal["manual", "rerating"]
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
    taxes: list[TaxShareView]
    lines: list[NoteLineView]


class ToldNoteView(NoteView, frozen=True, kw_only=True):
    """A note, and the number of the invoice that took its rest; null = none yet."""

    carried_to: str | None


class NoteList(msgspec.Struct, frozen=True, omit_defaults=True):
    """`next` = what to send as `after` for more."""

    notes: list[NoteView]
    next: str | None = None


class ReratedView(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice with a difference, in CNY (note_number null = none was made); or why it was `refused`, a code."""

    invoice_number: str
    merchant_id: str
    refused: str | msgspec.UnsetType = msgspec.UNSET
    detail: str | msgspec.UnsetType | None = msgspec.UNSET
    charged: str | msgspec.UnsetType = msgspec.UNSET
    difference: str | msgspec.UnsetType = msgspec.UNSET
    amount_due: str | msgspec.UnsetType = msgspec.UNSET
    note_number: str | msgspec.UnsetType | None = msgspec.UNSET


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
    found: list[ReratedView]


class Notes:
    def __init__(self, engine: Engine) -> None:
        self._notes = engine.notes

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/invoices/rerate", FINANCE, self.rerate, NewRerating, patient=True),
            Endpoint("POST", "/v1/invoices/{invoice_id}/notes", FINANCE, self.issue, NewNote),
            Endpoint("GET", "/v1/invoices/{invoice_id}/notes", FINANCE, self.of_invoice),
            Endpoint("GET", "/v1/notes", FINANCE, self.list, NoteQuery),
            Endpoint("GET", "/v1/notes/{note_number}", FINANCE, self.get),
            Endpoint("GET", "/v1/notes/{note_number}/export", FINANCE, self.export, NoteExport, patient=True),
        ]

    @answers(NoteView, status=(201,), refuses=(Code.INVOICE_NOT_FOUND, Code.NOTE_INVALID, Code.NOTE_EXCEEDS_INVOICE))
    async def issue(self, call: Call, new: NewNote) -> Answer:
        """A credit or debit note on a closed invoice; 201."""
        author, once = _author(call, new.author), call.once

        async def keep(connection: Connection, note: Note) -> None:
            await _keep(once, connection, note)

        note = await self._notes.issue(
            invoice_number(call), new.lines, reason=new.reason, author=author, also=None if once is None else keep
        )
        return _made(note, kept=once is not None)

    @answers(
        RerateView,
        refuses=(
            Code.MERCHANT_NOT_FOUND,
            Code.PERIOD_NOT_CLOSED,
            Code.NOTE_INVALID,
            Code.CLOSE_BLOCKED,
            "tariff_missing",
        ),
    )
    async def rerate(self, call: Call, new: NewRerating) -> Answer:
        """Rates a closed month anew and notes the differences; a repeat finds none. With dry_run it only reports."""
        done = await self._notes.rerate(new, _author(call, new.author))
        return json_answer(200, rerate_view(done.report, done.found))

    @answers(NoteList, refuses=(Code.INVOICE_NOT_FOUND,))
    async def of_invoice(self, call: Call, asked: Nothing) -> Answer:
        """The notes of an invoice, in order of their numbers."""
        _, corrected = await self._notes.of_invoice(invoice_number(call), call.caller.merchants)
        return json_answer(200, {"notes": [note_head(note) for note in corrected.notes]})

    @answers(NoteList, refuses=(Code.NOTE_NOT_FOUND,))
    async def list(self, call: Call, asked: NoteQuery) -> Answer:
        """Up to 1,000 at a time, in order of their numbers."""
        found = await self._notes.page(
            period=asked.period, merchant_id=asked.merchant_id, tie=call.caller.merchants, after=asked.after
        )
        more = found[-1].number if len(found) == PAGE else None
        return json_answer(200, {"notes": [note_head(note) for note in found], **next_page(more)})

    @answers(ToldNoteView, refuses=(Code.NOTE_NOT_FOUND,))
    async def get(self, call: Call, asked: Nothing) -> Answer:
        """One note with its lines, and the invoice that took its rest."""
        return json_answer(200, await self._notes.told(await self._named(call)))

    @answers(sends=tuple(TYPES.values()), refuses=(Code.NOTE_NOT_FOUND, *UNSENT))
    async def export(self, call: Call, asked: NoteExport) -> web.StreamResponse:
        """One note as a file: pdf, to print, in the look of a statement; json, as it is answered."""
        note = await self._named(call)
        async with aclosing(self._notes.export(note, asked.format)) as pieces:
            return await send_file(call, pieces, TYPES[asked.format], f"note-{note.number}.{asked.format}")

    async def _named(self, call: Call) -> Note:
        """Raises NoteNotFound."""
        number = call.named("note_number")
        if not storable(number):
            raise NoteNotFound("no note has such a number")
        return await self._notes.get(number, call.caller.merchants)


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


def _rerated(one: Rerated) -> ReratedView:
    if one.refused is not None:
        return ReratedView(
            invoice_number=one.invoice_number, merchant_id=one.merchant_id, refused=one.refused, detail=one.detail
        )
    return ReratedView(
        invoice_number=one.invoice_number,
        merchant_id=one.merchant_id,
        charged=plain(one.charged),
        difference=plain(one.difference),
        amount_due=two_places(one.amount_due),
        note_number=one.note_number,
    )


def _author(call: Call, words: str | None) -> str:
    """Who did it: the key, and whom it names. Raises Refused (forbidden)."""
    if call.caller.merchants is not None:
        raise Refused(Code.FORBIDDEN, "a key that is tied to merchants may not issue notes")
    return call.caller.key_id if words is None else f"{call.caller.key_id} ({words})"


def _made(note: Note, *, kept: bool) -> Answer:
    return json_answer(201, note_head(note), kept=kept)


async def _keep(once: Once | None, connection: Connection, note: Note) -> None:
    assert once is not None
    await once.keep(_made(note, kept=True), connection)
