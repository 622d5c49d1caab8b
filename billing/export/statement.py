"""Invoices as statements of account (对账单) to print and to keep: PDF/A-2b. A statement is no 发票.

Typesetting takes time and memory that grow faster than the pages: statements are typeset in parts of some 50, each in a
process of its own, and the parts put together at the end.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from billing.details import Selection
from billing.export.issuer import NOBODY, Issuer
from billing.export.jobs import Bind, Typeset
from billing.export.reading import Progress, read
from billing.export.scratch import scratch
from billing.export.statement_text import Statement, statement_of
from billing.export.typesetter import carry_out
from billing.queries import Pool

PART_STATEMENTS: Final = 50
_PART_ROWS: Final = 2000


async def export_statement(
    pool: Pool,
    selection: Selection,
    *,
    issuer: Issuer = NOBODY,
    progress: Progress | None = None,
    part_statements: int = PART_STATEMENTS,
) -> AsyncGenerator[bytes, None]:
    """The file in pieces of 256 KiB; of a month without invoices, a page that says so. Invoices as they were closed:
    notes change none of it.

    Raises as `stream_billed`, and StatementFailed; before the first piece.
    """
    async with scratch() as place:
        parts = _Parts(place.folder, part_statements)
        async with aclosing(read(pool, selection, progress, by="binding")) as invoices:
            async for billed in invoices:
                await parts.add(await statement_of(billed, issuer), billed.invoice.closed_at)
        whole = await parts.bound()
        async with aclosing(place.pieces(whole)) as pieces:
            async for piece in pieces:
                yield piece


class _Parts:
    """Statements on their way into a file, so many at a time."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder = folder
        self._most = most
        self._made: list[str] = []
        self._waiting: list[Statement] = []
        self._made_at = datetime.fromtimestamp(0, UTC)

    async def add(self, statement: Statement, closed_at: datetime) -> None:
        """Typesets what waits when it is enough for a part."""
        self._waiting.append(statement)
        self._made_at = closed_at
        if len(self._waiting) >= self._most or sum(waits.rows for waits in self._waiting) >= _PART_ROWS:
            await self._typeset()

    async def bound(self) -> Path:
        """The whole. Without any statement, a page that says so."""
        if self._waiting or not self._made:
            await self._typeset()
        if len(self._made) == 1:
            return Path(self._made[0])
        whole = self._folder / "statements.pdf"
        await carry_out(Bind(out=str(whole), parts=self._made))
        return whole

    async def _typeset(self) -> None:
        out = str(self._folder / f"part-{len(self._made)}.pdf")
        await carry_out(Typeset(out=out, papers=[*self._waiting], made_at=self._made_at))
        self._made.append(out)
        self._waiting = []
