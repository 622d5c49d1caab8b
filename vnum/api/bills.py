"""Daily bills: the charges of one date."""

from datetime import date
from typing import Annotated

import msgspec

from vnum.api.answers import Answer, json_answer
from vnum.api.auth import FINANCE
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.finance import Charge, plain
from vnum.model.fields import Name
from vnum.service.bills import MOST_ROWS


class BillQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`page_no` from 1; merchant_id left out = all that the key may see."""

    biz_date: date
    merchant_id: Name | None = None
    page_no: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] = 1
    page_size: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)] = 100


class BillRow(msgspec.Struct, frozen=True, gc=False):
    """bill_item 0 = number rental, bill_duration in days; 1 = call charge, in started minutes. cost in CNY, exact."""

    merchant_id: str
    biz_date: date
    bill_item: int
    bill_duration: int
    cost: str
    order_id: str
    binding_id: str
    call_id: str | None


class BillPage(msgspec.Struct, frozen=True):
    """`total` and `cost` count and sum all rows of the date, not only this page's."""

    biz_date: date
    page_no: int
    page_size: int
    total: int
    cost: str
    rows: list[BillRow]


class Bills:
    def __init__(self, engine: Engine) -> None:
        self._bills = engine.bills

    def endpoints(self) -> list[Endpoint]:
        return [Endpoint("GET", "/v1/bills/daily", FINANCE, self.daily, BillQuery)]

    @answers(BillPage)
    async def daily(self, call: Call, asked: BillQuery) -> Answer:
        """The charges of one date (Asia/Shanghai), of months open or closed; today's as far as they have begun."""
        page = await self._bills.page(
            asked.biz_date,
            asked.merchant_id,
            tie=call.caller.merchants,
            page_no=asked.page_no,
            page_size=asked.page_size,
        )
        rows = [_row(charge) for charge in page.rows]
        shown = BillPage(page.biz_date, asked.page_no, asked.page_size, page.total, plain(page.cost), rows)
        return json_answer(200, shown)


def _row(charge: Charge) -> BillRow:
    return BillRow(
        charge.merchant_id,
        charge.biz_date,
        int(charge.bill_item),
        charge.bill_duration,
        plain(charge.cost),
        charge.order_id,
        str(charge.binding_id),
        charge.call_id,
    )
