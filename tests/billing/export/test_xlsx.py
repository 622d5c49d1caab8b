"""The workbook, read back by another program's reader."""

import asyncio
import io
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime
from decimal import Decimal
from typing import Any

import openpyxl
import pytest

from billing.details import OfPeriod, OneInvoice, Selection, stream_billed
from billing.errors import InvoiceInconsistent
from billing.export import DETAIL_COLUMNS, export_csv, export_xlsx
from billing.export import xlsx as xlsx_module
from billing.export.workbook import Workbook, harmless_text
from billing.periods import ZONE, Period

Leftovers = Callable[[], int]

OCTOBER = OfPeriod(period=Period.parse("2026-10"))
NOVEMBER = OfPeriod(period=Period.parse("2026-11"))


def read(data: bytes) -> Any:
    return openpyxl.load_workbook(io.BytesIO(data))


def table(sheet: Any) -> list[dict[str, Any]]:
    """Rows by the stable names of the columns."""
    head, *rows = sheet.iter_rows(values_only=True)
    return [dict(zip([name.split("\n")[0] for name in head], row, strict=True)) for row in rows]


def money(cell: Any) -> Decimal:
    """A spreadsheet's number, as written."""
    return Decimal(str(cell))


@pytest.mark.parametrize("selection", [OCTOBER, NOVEMBER])
async def test_the_summary_is_the_invoices(story: Any, collect: Any, selection: OfPeriod) -> None:
    book = read(await collect(export_xlsx(story.pool, selection)))
    *rows, last = table(book["Summary"])
    invoices = await story.invoices(str(selection.period))
    assert [row["number"] for row in rows] == [invoice.number for invoice in invoices]
    for row, invoice in zip(rows, invoices, strict=True):
        for name in ("total_exact", "tax_exact", "carried_in", "balance", "amount_due", "carried_out"):
            assert money(row[name]) == getattr(invoice, name), name
        assert money(row["rental"]) + money(row["calls"]) + money(row["adjustments"]) == invoice.total_exact
        assert row["closed_at"] == invoice.closed_at.astimezone(ZONE).replace(tzinfo=None)
    assert last["number"].startswith("total")
    for name in ("rental", "calls", "adjustments", "amount_due", "carried_out"):
        assert money(last[name]) == sum(money(row[name]) for row in rows), name


@pytest.mark.parametrize("selection", [OCTOBER, NOVEMBER])
async def test_the_details_are_the_rows_by_binding(story: Any, collect: Any, selection: Selection) -> None:
    book = read(await collect(export_xlsx(story.pool, selection)))
    assert book.sheetnames == ["Summary", "Details 1"]
    rows = table(book["Details 1"])
    expected = []
    async for billed in stream_billed(story.pool, selection, by="binding"):
        expected += [detail async for detail in billed.details]
    assert list(rows[0]) == list(DETAIL_COLUMNS)
    for row, detail in zip(rows, expected, strict=True):
        for name in ("cost", "rate", "setup_fee"):
            assert money(row[name]) == getattr(detail, name)
        for name in ("bill_duration", "units", "unit_s", "free_units", "seconds", "kind", "tariff_id"):
            assert row[name] == getattr(detail, name)
        assert row["biz_date"] == datetime.combine(detail.biz_date, datetime.min.time())
        assert row["starts_at"] == detail.starts_at.astimezone(ZONE).replace(tzinfo=None)
    text = (await collect(export_csv(story.pool, selection))).decode()
    assert sum(money(row["cost"]) for row in rows) == sum(Decimal(line.split(",")[4]) for line in _lines(text))


def _lines(text: str) -> list[str]:
    """The rows of a CSV in which a line break stands within quotes once a binding."""
    return [line for line in text.replace("\nsecond", "").split("\r\n")[1:] if line]


async def test_how_it_looks(story: Any, collect: Any) -> None:
    book = read(await collect(export_xlsx(story.pool, NOVEMBER)))
    for sheet in book:
        assert sheet.freeze_panes == "A2"
        assert all(dimension.width >= 10 for dimension in sheet.column_dimensions.values())
    details = book["Details 1"]
    assert details.auto_filter.ref == details.dimensions
    rate, begins = (DETAIL_COLUMNS.index(name) for name in ("rate", "starts_at"))
    first = details[2]
    assert (first[rate].value, first[rate].number_format) == (0.00018, "#,##0.00##########")
    assert (first[begins].is_date, "Asia/Shanghai" in details[1][begins].value) == (True, True)


async def test_one_invoice(story: Any, collect: Any) -> None:
    invoice = (await story.invoices("2026-10"))[-1]
    book = read(await collect(export_xlsx(story.pool, OneInvoice(number=invoice.number))))
    assert table(book["Summary"])[0]["number"] == invoice.number
    assert {row["invoice_number"] for row in table(book["Details 1"])} == {invoice.number}


async def test_a_month_without_invoices(world: Any, collect: Any) -> None:
    book = read(await collect(export_xlsx(world.pool, OCTOBER)))
    assert (book.sheetnames, book["Summary"].max_row) == (["Summary"], 2)


@pytest.mark.parametrize("rows_a_sheet", [1, 7, 61])
async def test_details_are_split_into_sheets(story: Any, collect: Any, rows_a_sheet: int) -> None:
    whole = table(read(await collect(export_xlsx(story.pool, OCTOBER)))["Details 1"])
    book = read(await collect(export_xlsx(story.pool, OCTOBER, rows_a_sheet=rows_a_sheet)))
    parts = [table(sheet) for sheet in book.worksheets[1:]]
    assert book.sheetnames == ["Summary", *(f"Details {n + 1}" for n in range(len(parts)))]
    assert [len(part) for part in parts[:-1]] == [rows_a_sheet] * (len(parts) - 1)
    assert [row for part in parts for row in part] == whole
    assert all(sheet.auto_filter.ref == sheet.dimensions for sheet in book.worksheets[1:])


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@SUM(A1)", "'@SUM(A1)"), ("\tx", "'\tx"), ("\rx", "'\rx"),
        ("<r><t>x</t></r>", "'<r><t>x</t></r>"), ("plain", "plain"), ("https://a.b", "https://a.b"), ("0012", "0012"),
        ("{=1}", "{=1}"), ("a & <b>", "a & <b>"), ("单号", "单号"), ("\x07", "\x07"), (" x ", " x "), ("1e5", "1e5"),
    ],
)  # fmt: skip
async def test_no_cell_is_a_formula_and_every_text_survives(world: Any, collect: Any, cell: str, written: str) -> None:
    assert harmless_text(cell) == written
    await world.account("m", opened="2026-10-01 00:00")
    await world.owner.execute("UPDATE usage_accounts SET invoice_title = $1", cell)
    await world.call("m", "2026-10-05 10:00", "2026-10-05 10:01", call=cell)
    await world.close("2026-10")
    book = read(await collect(export_xlsx(world.pool, OCTOBER)))
    for sheet, name in (("Summary", "invoice_title"), ("Details 1", "call_id")):
        place = [head.value.split("\n")[0] for head in book[sheet][1]].index(name)
        found = book[sheet][2][place]
        assert (found.data_type, found.hyperlink) in (("s", None), ("inlineStr", None))
        assert openpyxl.utils.escape.unescape(found.value) == written


async def test_what_does_not_add_up_gives_no_piece(story: Any) -> None:
    await story.owner.execute("UPDATE invoice_lines SET quantity = 9, amount = 9 * rate WHERE item = 0")
    async with aclosing(export_xlsx(story.pool, OCTOBER)) as pieces:
        with pytest.raises(InvoiceInconsistent):
            await anext(pieces)


async def test_a_disk_that_is_full_is_told(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Workbook, "add", full)
    async with aclosing(export_xlsx(story.pool, OCTOBER)) as pieces:
        with pytest.raises(OSError, match="No space"):
            await anext(pieces)


async def test_a_reader_who_leaves_leaves_nothing(story: Any, leftovers: Leftovers) -> None:
    for _ in range(6):  # more often than the pool has connections
        async with aclosing(export_xlsx(story.pool, OCTOBER)) as pieces:
            await anext(pieces)
            assert leftovers() == 1


async def test_a_reader_who_leaves_while_it_is_made_leaves_nothing(
    story: Any, monkeypatch: pytest.MonkeyPatch, leftovers: Leftovers
) -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    add = Workbook.add

    def held(book: Workbook, rows: Any) -> None:
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(60)
        add(book, rows)

    monkeypatch.setattr(Workbook, "add", held)
    reading = asyncio.ensure_future(anext(export_xlsx(story.pool, OCTOBER)))
    await asyncio.wait_for(begun.wait(), 60)
    assert leftovers() == 1
    reading.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_rows_do_not_pile_up_before_a_slow_disk(
    story: Any, collect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the rows that are read, at most a batch is being written, one waits, and one is being collected."""
    monkeypatch.setattr(xlsx_module, "_BATCH_ROWS", 5)
    handed = written = 0
    most = 0
    add = Workbook.add

    async def counted(*args: Any, **options: Any) -> AsyncGenerator[Any, None]:
        async for billed in stream_billed(story.pool, OCTOBER, by="binding"):

            async def details(rows: Any = billed.details) -> AsyncGenerator[Any, None]:
                nonlocal handed, most
                async for row in rows:
                    handed += 1
                    most = max(most, handed - written)
                    yield row

            yield type(billed)(invoice=billed.invoice, adjustments=billed.adjustments, details=details())

    def slow(book: Workbook, rows: Any) -> None:
        nonlocal written
        add(book, rows)
        written += len(rows)

    monkeypatch.setattr(xlsx_module, "read", counted)
    monkeypatch.setattr(Workbook, "add", slow)
    await collect(export_xlsx(story.pool, OCTOBER))
    assert handed > 60
    assert most <= 15
