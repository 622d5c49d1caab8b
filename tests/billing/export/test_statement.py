"""Statements of account: what is on the pages, and that nothing on them is taken for markup."""

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pylopdf_fonts_zh_cn
import pypdfium2
import pytest

from billing.details import OfPeriod, OneInvoice, stream_billed
from billing.errors import InvoiceInconsistent, StatementFailed
from billing.export import export_csv, export_statement
from billing.export import statement as statement_module
from billing.export.capitals import in_capitals
from billing.export.glyphs import drawable, drawn_by
from billing.export.statement_text import statement_of
from billing.periods import Period

from .conftest import LONG, SHARP

OCTOBER = OfPeriod(period=Period.parse("2026-10"))
NOVEMBER = OfPeriod(period=Period.parse("2026-11"))
DRAWN = drawn_by(pylopdf_fonts_zh_cn.sans_path())


def pages(data: bytes) -> list[str]:
    """The text of each page, without white space: where lines break is no matter."""
    document = pypdfium2.PdfDocument(data)
    return [re.sub(r"\s", "", page.get_textpage().get_text_range()) for page in document]


def by_invoice(data: bytes) -> dict[str, list[str]]:
    """Pages by the number in their footer."""
    found: dict[str, list[str]] = {}
    for page in pages(data):
        footer = re.search(
            r"(VNUM-2026-\d{6})本对账单不是发票·Thisstatementisnotafapiao\(taxinvoice\)(\d+)/(\d+)", page
        )
        assert footer is not None, page
        found.setdefault(footer[1], []).append(page)
        assert int(footer[2]) == len(found[footer[1]])
        assert int(footer[3]) >= int(footer[2])
    return found


def written(amount: Decimal) -> str:
    text = f"{amount:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@pytest.mark.parametrize("selection", [OCTOBER, NOVEMBER])
async def test_each_invoice_is_told_whole(story: Any, collect: Any, selection: OfPeriod) -> None:
    found = by_invoice(await collect(export_statement(story.pool, selection)))
    invoices = await story.invoices(str(selection.period))
    assert list(found) == [invoice.number for invoice in invoices]
    for invoice in invoices:
        text = "".join(found[invoice.number])
        assert text.startswith("对账单Statementofaccount")
        for label, amount in (
            ("Totaloftheperiod,exact", written(invoice.total_exact)),
            ("Taxadded", written(invoice.tax_exact)),
            ("Carriedin", written(invoice.carried_in)),
            ("Balance", written(invoice.balance)),
            ("Amountdue,CNY", f"{invoice.amount_due:,f}"),
            ("Inwords", in_capitals(invoice.amount_due)),
            ("Carriedouttothenextinvoice", written(invoice.carried_out)),
        ):
            assert label + amount in text, (label, amount)
        for line in invoice.lines:
            assert written(line.amount) in text
            assert written(line.rate) in text
        assert f"{invoice.closed_at.astimezone(story.at('2026-01-01 00:00').tzinfo):%Y}" in text
        assert len(found[invoice.number]) == int(text[-1])


@pytest.mark.parametrize("selection", [OCTOBER, NOVEMBER])
async def test_the_days_add_up_to_the_lines(story: Any, collect: Any, selection: OfPeriod) -> None:
    costs: dict[str, Decimal] = {}
    for line in (await collect(export_csv(story.pool, selection))).decode().replace("\nsecond", "").split("\r\n")[1:-1]:
        cells = line.replace('"\'+""odd"", 单号"', "odd").split(",")
        costs[cells[15]] = costs.get(cells[15], Decimal(0)) + Decimal(cells[4])
    async for billed in stream_billed(story.pool, selection, by="binding"):
        said = await statement_of(billed)
        days = sum(Decimal(day["rental_cost"] or "") + Decimal(day["call_cost"] or "") for day in said.days)
        assert (
            days
            == Decimal(said.lines_total)
            == Decimal(said.all["rental_cost"] or "") + Decimal(said.all["call_cost"] or "")
        )
        assert days + Decimal(said.adjustments_total) == billed.invoice.total_exact == costs[billed.invoice.number]
        quantities = sum(line.quantity for line in billed.invoice.lines if line.item == 0)
        assert sum(int(day["rental_days"] or "") for day in said.days) == quantities
        assert sum(Decimal(tax["gross"] or "") for tax in said.taxes) == billed.invoice.amount_due


async def test_late_calls_keep_their_dates_and_are_capped(
    story: Any, collect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice = next(i for i in await story.invoices("2026-11") if i.buyer.merchant_id == "plain")
    one = OneInvoice(number=invoice.number)
    text = "".join(pages(await collect(export_statement(story.pool, one))))
    for n in range(7):
        assert f"2026-10-3023:5{n}:00order-late-{n}late-{n}10.02" in text
    assert "Adjustmentstotal7笔records0.14" in text
    async for billed in stream_billed(story.pool, one, by="binding"):
        said = await statement_of(billed, most_adjustments=4)
    assert (len(said.adjustments), said.adjustments_left_out, said.adjustments_total) == (4, "3", "0.14")

    async def capped(billed: Any, issuer: Any) -> Any:
        return await statement_of(billed, issuer, most_adjustments=4)

    monkeypatch.setattr(statement_module, "statement_of", capped)
    text = "".join(pages(await collect(export_statement(story.pool, one))))
    assert "其余3笔见本账单的CSV或XLSX文件。" in text
    assert "late-4" not in text


async def test_texts_are_texts(story: Any, collect: Any) -> None:
    text = "".join(pages(await collect(export_statement(story.pool, OCTOBER))))
    assert re.sub(r"\s", "", SHARP) in text
    assert LONG in text
    assert "=odd" in text


@pytest.mark.parametrize(
    ("title", "printed"),
    [
        ("#panic(\"x\")", '#panic("x")'),
        ("*bold* _em_ `raw` $x^2$", "*bold*_em_`raw`$x^2$"),
        ("#sys.inputs <end-0> @end-0", "#sys.inputs<end-0>@end-0"),
        ("\\u{4e00} // no comment /* */", "\\u{4e00}//nocomment/**/"),
        ("= heading", "=heading"),
        ("- list", "-list"),
        ("''\"\"--- ... ~", "''\"\"---...~"),
        ("https://a.b/c", "https://a.b/c"),
        ("笑😀脸", "笑□脸"),
        ("\u202eesrever", "esrever"),
        ("a\u200bb\u00adc", "abc"),
        ("two\nlines\ttab", "twolinestab"),
        ("\x07bell", "bell"),
        ("شركة", "□□□□"),
        ("", "—"),
        ("   ", ""),
    ],
)  # fmt: skip
async def test_no_title_is_markup_and_none_breaks_the_file(world: Any, collect: Any, title: str, printed: str) -> None:
    await world.account("m", opened="2026-10-01 00:00")
    await world.owner.execute("UPDATE usage_accounts SET invoice_title = $1", title)
    await world.call("m", "2026-10-05 10:00", "2026-10-05 10:01")
    await world.close("2026-10")
    (text,) = pages(await collect(export_statement(world.pool, OCTOBER)))
    assert f"购方名称Title{printed}结账时间" in text


async def test_it_is_pdf_a_and_the_same_every_time(story: Any, collect: Any) -> None:
    for most in (50, 1):  # one part, and several put together
        made = await collect(export_statement(story.pool, OCTOBER, part_statements=most))
        assert made.startswith(b"%PDF-1.7")
        for marker in (b"<pdfaid:part>2</pdfaid:part>", b"<pdfaid:conformance>B</pdfaid:conformance>",
                       b"/OutputIntents", b"/Metadata"):  # fmt: skip
            assert marker in made, (most, marker)
        if most == 50:
            assert made == await collect(export_statement(story.pool, OCTOBER))


async def test_parts_make_the_same_pages(story: Any, collect: Any) -> None:
    whole = pages(await collect(export_statement(story.pool, OCTOBER)))
    assert pages(await collect(export_statement(story.pool, OCTOBER, part_statements=1))) == whole
    assert pages(await collect(export_statement(story.pool, OCTOBER, part_statements=3))) == whole


async def test_a_month_without_invoices_is_a_page_that_says_so(world: Any, collect: Any) -> None:
    (text,) = pages(await collect(export_statement(world.pool, OCTOBER)))
    assert text == "本期没有账单。Thereisnoinvoiceinthisperiod."


def ink(picture: Any) -> Decimal:
    """The share of dark pixels."""
    shades = picture.histogram()
    return Decimal(sum(shades[:128])) / sum(shades)


async def test_pictures_of_the_pages_are_not_blank(story: Any, collect: Any, artefacts: Path) -> None:
    for name, selection in (("october", OCTOBER), ("november", NOVEMBER)):
        document = pypdfium2.PdfDocument(await collect(export_statement(story.pool, selection)))
        for nth, page in enumerate(document):
            coloured = page.render(scale=1.6).to_pil()
            coloured.save(artefacts / f"statement-{name}-{nth + 1}.png")
            picture = coloured.convert("L")
            assert 0.0005 < ink(picture) < 0.3, (name, nth)
            margin = picture.crop((picture.width * 20 // 21, 0, picture.width, picture.height))
            assert ink(margin) == 0, "something runs off the page"


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed")
async def test_another_reader_reads_the_same(story: Any, collect: Any, tmp_path: Path) -> None:
    file = tmp_path / "statement.pdf"
    file.write_bytes(await collect(export_statement(story.pool, OCTOBER)))
    reader = await asyncio.create_subprocess_exec("pdftotext", "-layout", file, "-", stdout=subprocess.PIPE)
    said = (await reader.communicate())[0].decode()
    for invoice in await story.invoices("2026-10"):
        assert invoice.number in said
        assert in_capitals(invoice.amount_due) in said


async def test_what_does_not_add_up_gives_no_piece(story: Any) -> None:
    await story.owner.execute("UPDATE invoice_lines SET quantity = 9, amount = 9 * rate WHERE item = 0")
    async with aclosing(export_statement(story.pool, OCTOBER)) as pieces:
        with pytest.raises(InvoiceInconsistent):
            await anext(pieces)


async def test_a_typesetter_that_dies_is_told(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    async with aclosing(export_statement(story.pool, OCTOBER)) as pieces:
        with pytest.raises(StatementFailed) as refused:
            await anext(pieces)
    assert refused.value.code == "statement_failed"


async def test_a_reader_who_leaves_leaves_nothing(
    story: Any, monkeypatch: pytest.MonkeyPatch, leftovers: Callable[[], int]
) -> None:
    async with aclosing(export_statement(story.pool, OCTOBER)) as pieces:
        await anext(pieces)
        assert leftovers() == 1
    begun = asyncio.Event()
    start = asyncio.create_subprocess_exec

    async def told(*args: Any, **options: Any) -> Any:
        process = await start(*args, **options)
        begun.set()
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", told)
    reading = asyncio.ensure_future(anext(export_statement(story.pool, OCTOBER)))
    await asyncio.wait_for(begun.wait(), 60)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("ABC 123 中文，。「」￥%", "ABC 123 中文，。「」￥%"),
        ("Ünïcödé Ωмега かな", "Ünïcödé Ωмега かな"),
        ("😀\U00010330", "□□"),
        ("a\u00a0b\u3000c\u2028d\re", "a b c d e"),
        ("\u200d\u202e\ufeff", ""),
        ("", ""),
    ],
)
def test_what_the_font_cannot_draw_is_a_box(text: str, drawn: str) -> None:
    assert drawable(text, DRAWN) == drawn
