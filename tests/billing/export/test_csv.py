"""CSV: the days that are written from one row of a binding are those that are listed one by one."""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.details import OfPeriod, OneInvoice, rental_rows, stream_billed
from billing.export import detail_cells, export_csv
from billing.export.csv import csv_row
from billing.export.days import days_of
from billing.invoice import Kind, Line
from billing.periods import Period

OCTOBER = Period.parse("2026-10")

instants = st.datetimes(datetime(2026, 9, 1), datetime(2026, 11, 30), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.mark.parametrize("month", ["2026-10", "2026-11"])
async def test_every_row_is_one_of_the_details(story: Any, collect: Any, month: str) -> None:
    period = OfPeriod(period=Period.parse(month))
    text = (await collect(export_csv(story.pool, period))).decode()
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    expected = []
    async for billed in stream_billed(story.pool, period, by="day"):
        expected += [detail_cells(detail) async for detail in billed.details]
    assert len(found) == len(expected) > 500
    for row, cells in zip(found, expected, strict=True):
        for name, cell in cells.items():
            text = "" if cell is None else str(cell)
            assert row[name] in (text, f"'{text}"), (name, row)


@given(
    bound=instants,
    lasts=st.timedeltas(timedelta(0), timedelta(days=90)),
    kind=st.sampled_from([Kind.RENTAL_DAY, Kind.CALENDAR_DAY]),
)
def test_days_of_a_binding(bound: datetime, lasts: timedelta, kind: Kind) -> None:
    line = Line(
        kind=kind, tariff_id="t", tariff_version=1, rate=Decimal("0.00018"), starts_at=OCTOBER.starts_at,
        ends_at=OCTOBER.ends_at, count=1, quantity=1, amount=Decimal("0.00018"),
    )  # fmt: skip
    row: Any = {"merchant_id": "m", "order_id": "o", "binding_id": UUID(int=1), "bound_at": bound,
                "ended_at": bound + lasts}  # fmt: skip
    one_by_one = [detail_cells(detail) for detail in rental_rows("n", line, row, "day")]
    at_once = [day for detail in rental_rows("n", line, row, "binding") for day in days_of(detail)]
    assert at_once == [(cells["biz_date"], cells["starts_at"], cells["ends_at"]) for cells in one_by_one]


@given(cells=st.lists(st.none() | st.integers() | st.text(st.characters(codec="utf-8")), min_size=2, max_size=5))
def test_rows_are_read_back_as_they_were(cells: list[str | int | None]) -> None:
    (found,) = csv.reader(io.StringIO(csv_row(cells), newline=""))
    assert found == ["" if cell is None else str(cell) for cell in cells]


async def test_a_byte_order_mark_if_asked_for(story: Any, collect: Any) -> None:
    plain = await collect(export_csv(story.pool, OfPeriod(period=OCTOBER)))
    assert await collect(export_csv(story.pool, OfPeriod(period=OCTOBER), bom=True)) == b"\xef\xbb\xbf" + plain


async def test_progress_is_told_by_invoice(story: Any, collect: Any) -> None:
    told: list[tuple[int, int]] = []
    await collect(export_csv(story.pool, OfPeriod(period=OCTOBER), progress=lambda *at: told.append(at)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    (first, *_) = await story.invoices("2026-10")
    told.clear()
    await collect(export_csv(story.pool, OneInvoice(number=first.number), progress=lambda *at: told.append(at)))
    assert told == [(1, 1)]
