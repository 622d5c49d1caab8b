"""Credit and debit notes: put a closed invoice right by hand, rate a closed month anew, look at what was noted."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, assert_never
from uuid import UUID

import msgspec

from vnum.finance import (
    BindingCredit,
    CallCredit,
    Cause,
    Corrected,
    Correction,
    FreeLine,
    Invoice,
    Issuer,
    Item,
    Note,
    NoteNotFound,
    Period,
    Rerated,
    RerateReport,
    Tax,
    carried_to,
    correct,
    export_note,
    get_note,
    issue_note,
    list_notes,
    note_head,
    rerate,
)
from vnum.model.fields import CallId, Name
from vnum.model.phones import holds_phone
from vnum.model.refusals import Code, Refused
from vnum.service.clock import Clock, read
from vnum.service.invoices import Invoices
from vnum.service.keys import Tie, within
from vnum.store.database import ENDED, LOST, Connection, Database

PAGE = 1_000
MOST_SHOWN = 1_000

Words = Annotated[str, msgspec.Meta(min_length=1, max_length=400, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
Also = Callable[[Connection, Note], Awaitable[None]]


class NewNoteLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """About a call, about a binding or a day of it (`biz_date`), or free: a `bill_item` with `amount` and `text`.

    `amount` in CNY as text, below zero in the merchant's favour. Of a call or binding it may be left out: all that is
    left of what was charged. `tax` of a free line is named where the invoice charged the item under several.
    """

    shown: ClassVar[tuple[str, ...]] = ("call_id",)

    call_id: CallId | None = None
    binding_id: UUID | None = None
    biz_date: date | None = None
    bill_item: Item | None = None
    amount: Decimal | None = None
    text: Words | None = None
    tax: Tax | None = None

    def __post_init__(self) -> None:
        if sum(about is not None for about in (self.call_id, self.binding_id, self.bill_item)) != 1:
            raise ValueError("a line names one of call_id, binding_id and bill_item")
        if self.bill_item is not None and (self.amount is None or self.text is None):
            raise ValueError("a line with a bill_item needs an amount and a text")
        if self.bill_item is None and (self.text is not None or self.tax is not None):
            raise ValueError("text and tax belong to a line with a bill_item")
        if self.biz_date is not None and self.binding_id is None:
            raise ValueError("biz_date belongs to a line with a binding_id")

    @property
    def correction(self) -> Correction:
        """What billing makes of it."""
        if self.call_id is not None:
            return CallCredit(call_id=self.call_id, amount=self.amount)
        if self.binding_id is not None:
            return BindingCredit(binding_id=self.binding_id, biz_date=self.biz_date, amount=self.amount)
        assert self.bill_item is not None
        assert self.amount is not None
        return FreeLine(item=self.bill_item, amount=self.amount, text=self.text or "", tax=self.tax)


class NoteFormat(StrEnum):
    """pdf = to print, in the look of a statement."""

    PDF = "pdf"
    JSON = "json"


class NewRerating(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """merchant_id left out = all merchants; tariff_id left out = by what each of them is assigned to now."""

    period: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$(?!\n)")]
    reason: Words
    merchant_id: Name | None = None
    tariff_id: Name | None = None
    author: Name | None = None
    dry_run: bool = False


class Rerating(msgspec.Struct, frozen=True):
    """What a run came to, and its first 1,000 invoices with a difference or a refusal, in order of merchant."""

    report: RerateReport
    found: list[Rerated]


class Notes:
    def __init__(self, database: Database, clock: Clock, series: str, issuer: Issuer, invoices: Invoices) -> None:
        self._database = database
        self._clock = clock
        self._series = series
        self._issuer = issuer
        self._invoices = invoices

    async def issue(
        self, number: str, lines: list[NewNoteLine], *, reason: str, author: str, also: Also | None = None
    ) -> Note:
        """One note on an invoice. `also` writes with it, in the same transaction; what it raises undoes both.

        Raises BillingRefusal (invoice_not_found, note_invalid, note_exceeds_invoice), Refused (invalid_request,
        clock_jump, outcome_unknown).
        """
        _check_texts({"reason": reason, "author": author, "text": " ".join(line.text or "" for line in lines)})
        cause = Cause(reason=reason, author=author, issued_at=await read(self._clock, self._database, 0))
        corrections = [line.correction for line in lines]
        try:
            async with self._database.acquire() as connection, connection.transaction():
                note = await issue_note(connection, number, corrections, cause, issuer=self._series)
                if also is not None:
                    await also(connection, note)
        except (*LOST, *ENDED) as trouble:
            if isinstance(trouble, ValueError):  # a value that can not be sent: nothing was
                raise
            raise Refused(
                Code.OUTCOME_UNKNOWN, "the connection to PostgreSQL was lost in the commit; look at the invoice's notes"
            ) from trouble
        return note

    async def get(self, number: str, tie: Tie = None) -> Note:
        """Raises NoteNotFound, also for what a tied key may not see."""
        async with self._database.acquire() as connection:
            note = await get_note(connection, number)
        if tie is not None and note.merchant_id not in tie:
            raise NoteNotFound(f"no note {number!r}")
        return note

    async def told(self, note: Note) -> dict[str, object]:
        """All there is to say of a note, with the invoice that took its rest, if one has."""
        async with self._database.acquire() as connection:
            return {**note_head(note), "carried_to": await carried_to(connection, note.number)}

    async def export(self, note: Note, form: NoteFormat) -> AsyncGenerator[bytes, None]:
        """The file in pieces; it is whole only if this ends without an exception. Close it when left early.

        Raises Refused (overloaded), BillingRefusal (invoice_inconsistent, statement_failed).
        """
        match form:
            case NoteFormat.JSON:
                yield msgspec.json.encode(await self.told(note))
            case NoteFormat.PDF:
                pages = export_note(self._database, note.number, issuer=self._issuer)
                async with self._invoices.one_of_few(), aclosing(pages):
                    async for piece in pages:
                        yield piece
            case _:
                assert_never(form)

    async def page(
        self, *, period: str | None = None, merchant_id: str | None = None, tie: Tie = None, after: str | None = None
    ) -> list[Note]:
        """Up to 1,000, in order of their numbers, behind the note `after`. Raises BillingRefusal."""
        month = None if period is None else Period.parse(period)
        last = None if after is None else await self.get(after, tie)
        merchants = within(tie, merchant_id)
        async with self._database.acquire() as connection:
            return await list_notes(connection, period=month, merchant_ids=merchants, after=last, limit=PAGE)

    async def of_invoice(self, number: str, tie: Tie = None) -> tuple[Invoice, Corrected]:
        """An invoice, and what it comes to with its notes. Raises InvoiceNotFound."""
        invoice = await self._invoices.get(number, tie)
        async with self._database.acquire() as connection:
            return invoice, await correct(connection, invoice)

    async def rerate(
        self, new: NewRerating, author: str, progress: Callable[[int, int], None] | None = None
    ) -> Rerating:
        """Rates a closed month anew and notes the differences; a repeat finds none. Raises BillingRefusal, Refused
        (invalid_request, clock_jump)."""
        month = Period.parse(new.period)
        _check_texts({"reason": new.reason, "author": author})
        now = await read(self._clock, self._database, 0)
        found: list[Rerated] = []

        def keep(one: Rerated) -> None:
            if len(found) < MOST_SHOWN:
                found.append(one)

        report = await rerate(
            self._database,
            month,
            Cause(reason=new.reason, author=author, issued_at=now, tariff_id=new.tariff_id),
            merchant_id=new.merchant_id,
            dry_run=new.dry_run,
            issuer=self._series,
            progress=progress,
            seen=keep,
        )
        return Rerating(report, found)


def _check_texts(texts: Mapping[str, str]) -> None:
    """Raises Refused: notes are read by many and kept for long, so no phone may stand in one."""
    for name, text in texts.items():
        if holds_phone(text):
            raise Refused(Code.INVALID_REQUEST, f"{name}: no phone numbers here, please; calls and orders have ids")
