"""Credit and debit notes on paper, and in the files of a month."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pypdfium2
import pytest

from billing.details import OfPeriod, OneInvoice
from billing.errors import InvoiceInconsistent, NoteNotFound
from billing.export import Issuer, export_fapiao, export_note, export_statement, export_xlsx
from billing.export.capitals import in_capitals
from billing.invoice import Item
from billing.notes.issue import BindingCredit, CallCredit, FreeLine
from billing.notes.note import Note
from billing.periods import ZONE, Period
from billing.tax import Tax

from .conftest import SHARP
from .test_statement import ink, pages, written
from .test_xlsx import money, read, table

NAME, TAX_NO = "杭州某某通信有限公司", "91330100MA2BBBBB2Y"
US = Issuer(name=NAME, tax_no=TAX_NO, fapiao_item="=通信服务费")


async def numbered(story: Any, merchant: str, month: str = "2026-10") -> str:
    """The invoice of a merchant."""
    return next(str(i.number) for i in await story.invoices(month) if i.buyer.merchant_id == merchant)


def free(amount: str, item: Item = Item.CALL, text: str = "as agreed", **more: Any) -> FreeLine:
    return FreeLine(item=item, amount=Decimal(amount), text=text, **more)


@pytest.fixture
async def noted(story: Any) -> Any:
    """Notes on October: of the minute before November begins and its first, one on each side; on November: one."""
    plain, plus, odd = [await numbered(story, merchant) for merchant in ("plain", "plus", "=odd")]
    call, day = CallCredit(call_id="-plain-5-0"), BindingCredit(binding_id=UUID(int=1))
    await story.note(plain, call, day, free("-0.00042", text="goodwill #1"), at="2026-11-30 23:59", reason="fax, twice")
    taxes = [Tax(mode="added", rate=Decimal("0.06")), Tax(mode="included", rate=Decimal("0.13"))]
    await story.note(plus, *(free("1.2345", tax=tax) for tax in taxes), at="2026-12-01 00:00", author="Li Wei")
    await story.note(odd, free("-0.031", text=SHARP), at="2026-12-02 09:30", reason=SHARP, author="=1+1")
    await story.note(await numbered(story, "plain", "2026-11"), free("-0.004"), at="2026-12-05 10:00")
    await story.tariff(1, "2020-01-01 00:00", "0.00018", "0.015", tariff="agreed")
    await story.note(await numbered(story, "untitled"), free("0.02", Item.RENTAL), at="2026-12-06 09:00")
    await story.rerate("2026-10", "agreed", merchant_id="=odd", at="2026-12-06 10:00", reason="price list")
    await story.close("2026-12", at="2027-01-01 03:00")
    return story


async def printed(story: Any, collect: Any, note: Note, issuer: Issuer = US) -> str:
    return "".join(pages(await collect(export_note(story.pool, note.number, issuer=issuer))))


async def test_a_note_is_told_whole(noted: Any, collect: Any) -> None:
    invoices = {invoice.number: invoice for invoice in await noted.invoices()}
    notes = await noted.notes()
    assert {(note.kind, note.source) for note in notes} == {
        ("credit", "manual"),
        ("debit", "manual"),
        ("credit", "rerating"),
    }
    for note in notes:
        text, buyer = await printed(noted, collect, note), invoices[note.invoice_number].buyer
        name = "贷项通知单Creditnote" if note.kind == "credit" else "借项通知单Debitnote"
        assert text.startswith(f"{name}本通知单不是发票·Nofapiao通知单号Note{note.number}")
        assert f"{note.number}本通知单不是发票·Thisnoteisnotafapiao(taxinvoice)1/1" in text
        for label, value in (
            ("Correctsinvoice", note.invoice_number),
            ("Merchant", note.merchant_id),
            ("Invoice'speriod", str(note.period)),
            ("Title", re.sub(r"\s", "", buyer.invoice_title or "—")),
            ("Taxno.", buyer.tax_no or "—"),
            ("Issuedat", f"{note.issued_at.astimezone(ZONE):%Y-%m-%d%H:%M:%S}"),
            ("Issuer", f"{NAME}（VNUM）"),
            ("Issuer'staxno.", TAX_NO),
            ("Reason", re.sub(r"\s", "", note.reason)),
            ("Author", re.sub(r"\s", "", note.author)),
            ("Differenceinall", written(note.total_exact)),
            ("Taxadded", written(note.tax_exact)),
            ("Balance", written(note.balance)),
            ("Inwords", in_capitals(note.amount_due)),
            ("Carriedouttothemerchant'snextinvoice", written(note.carried_out)),
        ):
            assert label + value in text, (note.number, label)
        due = "Amountdue,CNY" + ("" if note.kind == "debit" else ";belowzeroitisgivenback")
        assert f"{due}{note.amount_due:,f}" in text
        for line in note.lines:
            assert written(line.amount) in text
            assert re.sub(r"\s", "", line.text or line.call_id or str(line.binding_id or line.tariff_id)) in text


async def test_lines_say_what_was_charged_and_what_is_correct(noted: Any, collect: Any) -> None:
    first, *_, rerated = await noted.notes()
    text = await printed(noted, collect, first)
    assert "通话费Calls话单Call-plain-5-0" in text
    assert "资费Tariffdefaultv1单价rate0.020.040-0.04" in text
    assert f"绑定Binding{UUID(int=1)}" in text
    assert "goodwill#1——-0.00042" in text
    assert "负" in in_capitals(first.amount_due)
    text = await printed(noted, collect, rerated)
    assert "重新计价Ratedanewbyagreed" in text
    assert "数量Quantity10→0分钟min0.20-0.2" in text


async def test_tax_is_split_on_the_note(noted: Any, collect: Any) -> None:
    note = next(note for note in await noted.notes() if note.kind == "debit")
    # 1.2345 x 1.06 = 1.30857: 1.31; with 1.2345 more 2.54307: 1.23 of 13 % included
    text = await printed(noted, collect, note)
    assert "价外added6%1.23450.074071.311.240.07" in text
    assert "价内included13%1.234501.231.090.14" in text
    assert note.amount_due == Decimal("2.54")


async def test_without_settings_only_the_prefix_issues(noted: Any, collect: Any) -> None:
    (note, *_) = await noted.notes()
    text = await printed(noted, collect, note, Issuer())
    assert "出账方IssuerVNUM原因" in text
    assert "Issuer'staxno." not in text


async def test_a_note_is_pdf_a_and_the_same_every_time(noted: Any, collect: Any) -> None:
    (note, *_) = await noted.notes()
    made = await collect(export_note(noted.pool, note.number))
    assert b"<pdfaid:part>2</pdfaid:part>" in made
    assert made == await collect(export_note(noted.pool, note.number))
    assert pypdfium2.PdfDocument(made).get_metadata_value("Title") == "贷项通知单 Credit note"


async def test_instants_of_a_real_clock(world: Any, collect: Any) -> None:
    """They have microseconds, which the typesetter takes in no date of a PDF."""
    await world.account("m", opened="2026-10-01 00:00")
    await world.call("m", "2026-10-05 10:00", "2026-10-05 10:01")
    await world.close("2026-10", at="2026-11-01 03:00:00.123456")
    (invoice,) = await world.invoices()
    note = await world.note(invoice.number, free("-0.01"), at="2026-11-02 03:00:00.999999")
    assert "2026-11-0203:00:00" in await printed(world, collect, note)
    one = OneInvoice(number=invoice.number)
    assert "2026-11-0103:00:00" in pages(await collect(export_statement(world.pool, one)))[0]


async def test_a_long_note_repeats_its_head(story: Any, collect: Any) -> None:
    lines = [free("0.01", text=f"order {n} of the old switch") for n in range(200)]
    note = await story.note(await numbered(story, "plain"), *lines)
    found = pages(await collect(export_note(story.pool, note.number)))
    assert len(found) > 2
    for nth, page in enumerate(found, start=1):
        assert f"{nth}/{len(found)}" in page
        assert ("所指About" in page) == ("ofthe oldswitch".replace(" ", "") in page)


async def test_pictures_of_notes_are_not_blank(noted: Any, collect: Any, artefacts: Path) -> None:
    for note in await noted.notes():
        for nth, page in enumerate(
            pypdfium2.PdfDocument(await collect(export_note(noted.pool, note.number, issuer=US)))
        ):
            coloured = page.render(scale=1.6).to_pil()
            coloured.save(artefacts / f"{note.number}-{nth + 1}.png")
            picture = coloured.convert("L")
            assert Decimal("0.0005") < ink(picture) < Decimal("0.3"), (note.number, nth)
            assert ink(picture.crop((picture.width * 20 // 21, 0, picture.width, picture.height))) == 0


async def test_what_is_no_note_or_does_not_add_up(
    noted: Any, collect: Any, leftovers: Callable[[], int], endpoints: Any
) -> None:
    with pytest.raises(NoteNotFound):
        await collect(export_note(noted.pool, "VNUM-NOTE-2026-000099"))
    (note, *_) = await noted.notes()
    await noted.owner.execute(
        "UPDATE notes SET total_exact = total_exact - 1, amount_due = amount_due - 1 WHERE note_number = $1",
        note.number,
    )
    november = OfPeriod(period=Period.parse("2026-11"))
    october = OfPeriod(period=Period.parse("2026-10"))
    for export in (
        export_note(noted.pool, note.number),
        export_fapiao(noted.pool, november),
        export_xlsx(noted.pool, october),
    ):
        with pytest.raises(InvoiceInconsistent, match=f"note {note.number}: total_exact is"):
            await collect(export)
    assert leftovers() == 0


async def test_a_statement_stays_what_was_closed(story: Any, collect: Any) -> None:
    one = OneInvoice(number=await numbered(story, "plain"))
    before = await collect(export_statement(story.pool, one))
    await story.note(one.number, CallCredit(call_id="-plain-5-0"))
    assert await collect(export_statement(story.pool, one)) == before


async def test_a_statement_names_who_issues_it(story: Any, collect: Any) -> None:
    one = OneInvoice(number=await numbered(story, "plain"))
    text = "".join(pages(await collect(export_statement(story.pool, one, issuer=US))))
    assert f"出账方Issuer{NAME}（VNUM）出账方税号Issuer'staxno.{TAX_NO}时间均为" in text
    text = "".join(pages(await collect(export_statement(story.pool, one))))
    assert "出账方IssuerVNUM时间均为" in text
    text = "".join(pages(await collect(export_statement(story.pool, one, issuer=Issuer(name=SHARP)))))
    assert f"出账方Issuer{re.sub(r'[ ]', '', SHARP)}（VNUM）" in text


async def fapiao(story: Any, collect: Any, selection: Any, issuer: Issuer = US) -> list[dict[str, str]]:
    text = (await collect(export_fapiao(story.pool, selection, issuer=issuer))).decode()
    found = csv.DictReader(io.StringIO(text, newline=""))
    return [{name.split(" ")[1]: cell for name, cell in row.items()} for row in found]


async def test_the_fapiao_list_has_the_notes_of_the_month_of_issue(noted: Any, collect: Any) -> None:
    notes, listed = {note.number: note for note in await noted.notes()}, {}
    for month, issued in (("2026-10", 0), ("2026-11", 1), ("2026-12", len(notes) - 1)):
        rows = await fapiao(noted, collect, OfPeriod(period=Period.parse(month)))
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for row in rows:
            sums[row["note_number"] or row["invoice_number"]] += Decimal(row["gross"])
            assert Decimal(row["net"]) + Decimal(row["tax"]) == Decimal(row["gross"]) != 0
            assert row["item"] == "'=通信服务费"
        invoices = {str(i.number): i.amount_due for i in await noted.invoices(month) if i.amount_due}
        of_notes = {name: amount for name, amount in sums.items() if name not in invoices}
        assert sums == invoices | of_notes
        assert of_notes == {name: notes[name].amount_due for name in of_notes}
        assert len([note for note in notes.values() if str(Period.of(note.issued_at)) == month]) == issued
        listed |= of_notes
    assert listed == {note.number: note.amount_due for note in notes.values() if note.amount_due}


async def test_rows_of_notes_say_what_they_are_about(noted: Any, collect: Any) -> None:
    december = OfPeriod(period=Period.parse("2026-12"))
    rows = [row for row in await fapiao(noted, collect, december) if row["note_number"]]
    plus, odd = await numbered(noted, "plus"), await numbered(noted, "=odd")
    debit = [row for row in rows if row["invoice_number"] == plus]
    assert [(row["tax_rate"], row["net"], row["tax"], row["gross"]) for row in debit] == [
        ("0.06", "1.24", "0.07", "1.31"),
        ("0.13", "1.09", "0.14", "1.23"),
    ]
    assert debit[0]["remark"] == f"账期 2026-10，账单 {plus}，借项通知单 VNUM-NOTE-2026-000002"
    credit = next(row for row in rows if row["invoice_number"] == odd)
    assert (credit["gross"], credit["net"], credit["tax"]) == ("-0.03", "-0.03", "0.00")
    assert credit["remark"] == f"红字，账期 2026-10，账单 {odd}，贷项通知单 VNUM-NOTE-2026-000003"
    assert (credit["merchant_id"], credit["buyer_tax_no"], credit["period"]) == ("'=odd", "'=1+1", "2026-10")
    assert credit["buyer_title"].startswith("#panic()")
    untitled = [row for row in rows if row["merchant_id"] == "untitled"]
    assert [(row["missing"], row["gross"]) for row in untitled] == [("购方名称、购方税号", "0.02")]


async def test_one_invoice_and_the_notes_about_it(noted: Any, collect: Any) -> None:
    for merchant, notes in (("plain", ["VNUM-NOTE-2026-000001"]), ("plus", ["VNUM-NOTE-2026-000002"])):
        number = await numbered(noted, merchant)
        rows = await fapiao(noted, collect, OneInvoice(number=number))
        assert {row["invoice_number"] for row in rows} == {number}
        assert sorted({row["note_number"] for row in rows} - {""}) == notes


async def test_tied_to_merchants(noted: Any, collect: Any) -> None:
    december = OfPeriod(period=Period.parse("2026-12"), merchant_ids=("plus", "untitled"))
    assert {row["merchant_id"] for row in await fapiao(noted, collect, december)} == {"plus", "untitled"}
    october = OfPeriod(period=Period.parse("2026-10"), merchant_ids=("plus",))
    *rows, _ = table(read(await collect(export_xlsx(noted.pool, october)))["Notes"])
    assert [row["merchant_id"] for row in rows] == ["plus"]


async def test_the_workbook_has_the_notes_of_its_invoices(noted: Any, collect: Any) -> None:
    notes = await noted.notes()
    for month, many in (("2026-10", 5), ("2026-11", 1)):
        book = read(await collect(export_xlsx(noted.pool, OfPeriod(period=Period.parse(month)))))
        assert book.sheetnames == ["Summary", "Notes", "Details 1"]
        *rows, last = table(book["Notes"])
        expected = [note for note in notes if str(note.period) == month]
        assert len(rows) == len(expected) == many
        for row, note in zip(rows, expected, strict=True):
            assert (row["number"], row["invoice_number"]) == (note.number, note.invoice_number)
            assert row["issued_at"] == note.issued_at.astimezone(ZONE).replace(tzinfo=None)
            assert row["kind"].split(" ")[0] == note.kind
            assert row["author"].removeprefix("'") == note.author
            assert row["reason"].removeprefix("'") == note.reason
            for name in ("total_exact", "tax_exact", "amount_due", "carried_out"):
                assert money(row[name]) == getattr(note, name), name
        assert money(last["amount_due"]) == sum(note.amount_due for note in expected)
        assert all(dimension.width >= 10 for dimension in book["Notes"].column_dimensions.values())
        assert book["Notes"].freeze_panes == "A2"
    number = await numbered(noted, "plus")
    assert (
        table(read(await collect(export_xlsx(noted.pool, OneInvoice(number=number))))["Notes"])[0]["kind"]
        == "debit 借项"
    )
    untouched = await numbered(noted, "plus", "2026-11")
    assert read(await collect(export_xlsx(noted.pool, OneInvoice(number=untouched)))).sheetnames == [
        "Summary",
        "Details 1",
    ]


async def test_no_cell_of_a_note_is_a_formula(noted: Any, collect: Any) -> None:
    book = read(await collect(export_xlsx(noted.pool, OfPeriod(period=Period.parse("2026-10")))))
    texts = [cell for row in book["Notes"].iter_rows() for cell in row if isinstance(cell.value, str)]
    assert {cell.data_type for cell in texts} == {"s"}
    assert not [cell.value for cell in texts if cell.value.startswith(("=", "+", "-", "@"))]


async def test_many_notes_are_read_in_pages(noted: Any, collect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    december = OfPeriod(period=Period.parse("2026-12"))
    whole = await fapiao(noted, collect, december)
    monkeypatch.setattr("billing.export.noted.MOST_LISTED", 2)
    monkeypatch.setattr("billing.notes.ledger.MOST_LISTED", 2)
    assert await fapiao(noted, collect, december) == whole
