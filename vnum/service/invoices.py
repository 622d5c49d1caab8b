"""Invoices: close a month, look at what was closed, and export it. A tied key sees its merchants' only."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import assert_never

from vnum.finance import (
    CloseReport,
    Draft,
    Invoice,
    InvoiceNotFound,
    Issuer,
    OfPeriod,
    OneInvoice,
    Period,
    Progress,
    close,
    draft,
    export_csv,
    export_fapiao,
    export_json,
    export_statement,
    export_xlsx,
    get_invoice,
    list_invoices,
    require_closed,
)
from vnum.model.refusals import Code, Refused
from vnum.service.clock import Clock, peek, read
from vnum.service.events import tell_closes
from vnum.service.keys import Tie, within
from vnum.store import merchants as stored
from vnum.store.database import Database

PAGE = 1_000
EXPORTS = 2
"""Exports at a time: each holds a connection and a snapshot for as long as its reader takes."""

Selection = OneInvoice | OfPeriod


class Format(StrEnum):
    """pdf = statements of account; fapiao = what the issuer of tax invoices needs, as CSV."""

    CSV = "csv"
    XLSX = "xlsx"
    PDF = "pdf"
    JSON = "json"
    FAPIAO = "fapiao"

    @property
    def ending(self) -> str:
        """How a file's name ends."""
        return "fapiao.csv" if self is Format.FAPIAO else self.value


WITH_BOM = (Format.CSV, Format.FAPIAO)


class Invoices:
    def __init__(self, database: Database, clock: Clock, series: str, issuer: Issuer) -> None:
        self._database = database
        self._clock = clock
        self._series = series
        self._issuer = issuer
        self._closing = asyncio.Lock()
        self._exports = asyncio.Semaphore(EXPORTS)

    async def close(
        self, period: str, merchant_id: str | None = None, progress: Callable[[int, int], None] | None = None
    ) -> CloseReport:
        """Closes a month of one merchant or all; a repeat changes nothing.

        Raises BillingRefusal, Refused (clock_jump): a month that a wrong clock closes stays closed.
        """
        month = Period.parse(period)
        now = await read(self._clock, self._database, 0)
        async with self._closing:  # one waits for the ledger's lock with a connection in hand, the others without
            return await close(
                self._database,
                month,
                now=now,
                merchant_id=merchant_id,
                progress=progress,
                issuer=self._series,
                also=tell_closes,
            )

    async def drafts(
        self, period: str, *, merchant_id: str | None = None, tie: Tie = None, after: str = ""
    ) -> list[Draft]:
        """The running month as it stands, or one that waits for its close; up to 1,000 behind the merchant `after`.

        Raises Refused (overloaded, merchant_not_found), BillingRefusal: it reads as much as a close.
        """
        month = Period.parse(period)
        async with self.one_of_few():
            now = await peek(self._clock, self._database)
            merchants = within(tie, merchant_id)
            if merchant_id is not None and merchants and not await stored.has(self._database, merchant_id):
                raise Refused(Code.MERCHANT_NOT_FOUND, f"merchant {merchant_id} is not registered")
            return await draft(self._database, month, now=now, merchant_ids=merchants, after=after, limit=PAGE)

    async def page(
        self, *, period: str | None = None, merchant_id: str | None = None, tie: Tie = None, after: str | None = None
    ) -> list[Invoice]:
        """Up to 1,000, by period and merchant, behind the invoice `after`. Raises BillingRefusal."""
        month = None if period is None else Period.parse(period)
        merchants = within(tie, merchant_id)
        last = None if after is None else await self.get(after, tie)
        async with self._database.acquire() as connection:
            return await list_invoices(connection, period=month, merchant_ids=merchants, after=last, limit=PAGE)

    async def get(self, number: str, tie: Tie = None) -> Invoice:
        """Raises InvoiceNotFound, also for what a tied key may not see."""
        async with self._database.acquire() as connection:
            invoice = await get_invoice(connection, number)
        if tie is not None and invoice.buyer.merchant_id not in tie:
            raise InvoiceNotFound(f"no invoice {number!r}")
        return invoice

    async def of_period(self, period: str, tie: Tie = None) -> OfPeriod:
        """All invoices of a closed month that the key may see. Raises BillingRefusal (period_not_closed)."""
        month = Period.parse(period)
        async with self._database.acquire() as connection:
            await require_closed(connection, month, None if tie is None else list(tie))
        return OfPeriod(period=month, merchant_ids=None if tie is None else tuple(tie))

    async def export(
        self, selection: Selection, form: Format, *, bom: bool = False, progress: Progress | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The file in pieces; it is whole only if this ends without an exception. Close it when left early.

        Raises Refused (overloaded, invalid_request), BillingRefusal.
        """
        if bom and form not in WITH_BOM:
            raise Refused(Code.INVALID_REQUEST, f"bom: only {' and '.join(WITH_BOM)} files may begin with one")
        async with self.one_of_few():
            pieces = self._pieces(selection, form, bom, progress)
            try:
                async for piece in pieces:
                    yield piece
            finally:
                await pieces.aclose()

    @asynccontextmanager
    async def one_of_few(self) -> AsyncIterator[None]:
        """The place of one export. Raises Refused (overloaded)."""
        if self._exports.locked():
            raise Refused(Code.OVERLOADED, f"{EXPORTS} exports run already; try again when one is done")
        async with self._exports:
            yield

    def _pieces(
        self, selection: Selection, form: Format, bom: bool, progress: Progress | None
    ) -> AsyncGenerator[bytes, None]:
        match form:
            case Format.CSV:
                return export_csv(self._database, selection, bom=bom, progress=progress)
            case Format.XLSX:
                return export_xlsx(self._database, selection, progress=progress)
            case Format.PDF:
                return export_statement(self._database, selection, issuer=self._issuer, progress=progress)
            case Format.JSON:
                return export_json(self._database, selection, progress=progress)
            case Format.FAPIAO:
                return export_fapiao(self._database, selection, issuer=self._issuer, bom=bom, progress=progress)
            case _:
                assert_never(form)
