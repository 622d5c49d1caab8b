"""Typesets statements and notes in a process of its own: `python -m billing.export.typesetting`, a job on its input.

The typesetter keeps what it has laid out, some hundreds of MB; the memory goes with the process. A server that
typesets is neither blocked nor grown by it.
"""

import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import pylopdf_fonts_zh_cn
import pypdfium2
import typst

from billing.export.glyphs import drawable, drawn_by
from billing.export.jobs import Bind, Job, Typeset

STANDARD: Final = "a-2b"
"""PDF/A-2b: to be kept for years, looks the same everywhere."""

TEMPLATE: Final = Path(__file__).with_name("papers.typ")


def carry_out(job: Job) -> None:
    """Raises typst.TypstError, OSError."""
    if isinstance(job, Bind):
        _bind(job)
    else:
        _typeset(job)


def _typeset(job: Typeset) -> None:
    font = pylopdf_fonts_zh_cn.sans_path()
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(font.parent)])
    texts = msgspec.json.encode(_drawable(msgspec.to_builtins(job.papers), drawn_by(font))).decode()
    compiler = typst.Compiler(input=str(TEMPLATE), font_paths=fonts, ignore_system_fonts=True)
    _, warnings = compiler.compile_with_warnings(
        output=job.out,
        format="pdf",
        sys_inputs={"papers": texts},
        pdf_standards=STANDARD,
        timestamp=job.made_at.replace(microsecond=0),  # refused with a part of a second
        pdf_tags=False,
    )
    assert not warnings, warnings[0].message  # a font that is not found is a mere warning


def _drawable(value: Any, drawn: frozenset[int]) -> Any:
    if isinstance(value, str):
        return drawable(value, drawn)
    if isinstance(value, list):
        return [_drawable(item, drawn) for item in value]
    return {name: _drawable(item, drawn) for name, item in value.items()} if isinstance(value, dict) else value


def _bind(job: Bind) -> None:
    whole = pypdfium2.PdfDocument(job.parts[0])
    for path in job.parts[1:]:
        part = pypdfium2.PdfDocument(path)
        whole.import_pages(part)
        part.close()
    with Path(job.out).open("wb") as file:
        whole.save(file)


if __name__ == "__main__":
    carry_out(msgspec.json.decode(sys.stdin.buffer.read(), type=Job))
