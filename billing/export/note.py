"""A credit or debit note (贷项通知单, 借项通知单) to print and to keep, in the look of a statement. It is no 发票."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from billing.export.issuer import NOBODY, Issuer
from billing.export.jobs import Typeset
from billing.export.note_text import note_paper
from billing.export.noted import noted
from billing.export.scratch import scratch
from billing.export.typesetter import carry_out
from billing.queries import Pool


async def export_note(pool: Pool, number: str, *, issuer: Issuer = NOBODY) -> AsyncGenerator[bytes, None]:
    """A PDF in pieces of 256 KiB; the same bytes whenever it is asked for, under the same issuer.

    Raises NoteNotFound, InvoiceInconsistent where its own sums differ, and StatementFailed; before the first piece.
    """
    note, buyer = await noted(pool, number)
    async with scratch() as place:
        path = place.folder / "note.pdf"
        paper = note_paper(note, buyer, issuer)
        await carry_out(Typeset(out=str(path), papers=[paper], made_at=note.issued_at))
        async with aclosing(place.pieces(path)) as pieces:
            async for piece in pieces:
                yield piece
