"""What the process that typesets is told, as JSON."""

from datetime import datetime
from typing import TypeAlias

import msgspec

from billing.export.note_text import NotePaper
from billing.export.statement_text import Statement

Paper: TypeAlias = Statement | NotePaper


class Typeset(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Make a PDF of these papers. `made_at` is noted in it."""

    out: str
    papers: list[Paper]
    made_at: datetime


class Bind(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Put PDFs into one, in their order; the first gives the whole its description, PDF/A included."""

    out: str
    parts: list[str]


Job: TypeAlias = Typeset | Bind
