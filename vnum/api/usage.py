"""Usage: what a merchant used, date by date, and what he spent of what he may."""

from datetime import date

import msgspec

from vnum.api.answers import Answer, json_answer, shown_as
from vnum.api.auth import PAYERS, SPENDERS
from vnum.api.bodies import Nothing, storable
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.api.merchants import limit_text
from vnum.engine import Engine
from vnum.finance import plain
from vnum.model.fields import Name
from vnum.model.refusals import Code, Refused
from vnum.service.spend import Spend, SpendState


class UsageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Dates of Asia/Shanghai, `to` exclusive, 92 at most; left out: the last 30, with today."""

    merchant_id: Name
    since: date | None = msgspec.field(name="from", default=None)
    until: date | None = msgspec.field(name="to", default=None)


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """`new` numbers bound, charged `calls` and their started `minutes`; costs in CNY, exact, without added tax."""

    new: int
    rental_days: int
    rental_cost: str
    calls: int
    minutes: int
    call_cost: str
    cost: str


class Day(Sums, frozen=True, kw_only=True):
    """`live_numbers` at the end of the date, of today at present."""

    merchant_id: str
    biz_date: date
    live_numbers: int


class SpendView(msgspec.Struct, frozen=True, kw_only=True):
    """Of the running month, in CNY, with added tax. alert, cap: null = none."""

    period: str
    spent: str
    alert: str | None
    cap: str | None
    state: SpendState


class UsageView(msgspec.Struct, frozen=True, kw_only=True):
    merchant_id: str
    since: date = msgspec.field(name="from")
    until: date = msgspec.field(name="to")
    days: list[Day]
    sums: Sums
    spend: SpendView


class Usages:
    def __init__(self, engine: Engine) -> None:
        self._usages = engine.usages
        self._spending = engine.spending

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/v1/usage/daily", PAYERS, self.daily, UsageQuery),
            Endpoint("GET", "/v1/merchants/{merchant_id}/spend", SPENDERS, self.spend),
        ]

    @answers(UsageView, refuses=(Code.MERCHANT_NOT_FOUND,))
    async def daily(self, call: Call, asked: UsageQuery) -> Answer:
        """A merchant's numbers, rental days, calls and costs, a row a date, with the sums and the month's spend."""
        merchant_id = _seen(call, asked.merchant_id)
        usage = await self._usages.by_date(merchant_id, asked.since, asked.until)
        view = shown_as(
            UsageView,
            usage,
            days=[shown_as(Day, day, cost=plain(day.cost)) for day in usage.days],
            sums=shown_as(Sums, usage.sums, cost=plain(usage.sums.cost)),
            spend=_spend(await self._spending.of(merchant_id)),
        )
        return json_answer(200, view)

    @answers(SpendView, refuses=(Code.MERCHANT_NOT_FOUND,))
    async def spend(self, call: Call, asked: Nothing) -> Answer:
        """What the running month has cost so far, against alert and cap."""
        return json_answer(200, _spend(await self._spending.of(_seen(call, call.named("merchant_id")))))


def _seen(call: Call, merchant_id: str) -> str:
    """Raises Refused (merchant_not_found), also for what a tied key may not see."""
    tie = call.caller.merchants
    if not storable(merchant_id) or (tie is not None and merchant_id not in tie):
        raise Refused(Code.MERCHANT_NOT_FOUND, "no such merchant is registered")
    return merchant_id


def _spend(spend: Spend) -> SpendView:
    return SpendView(
        period=str(spend.period),
        spent=plain(spend.spent),
        alert=limit_text(spend.limits.spend_alert),
        cap=limit_text(spend.limits.spend_cap),
        state=spend.state,
    )
