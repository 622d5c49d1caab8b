"""Tariffs: price lists, and which of them a merchant pays."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from vnum.api.answers import Answer, json_answer, next_page, utc
from vnum.api.auth import FINANCE, PRICERS
from vnum.api.bodies import Nothing, storable
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.finance import Assignment, Listed, TariffVersion, plain
from vnum.model.fields import Name
from vnum.model.refusals import Code, Refused
from vnum.service.tariffs import PAGE, NewTariff


class NewAssignment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """effective_from left out = this month, or from the next midnight (Asia/Shanghai) on for a merchant with usage."""

    tariff_id: Name
    effective_from: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class TariffQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` = `next` of the page before."""

    after: Annotated[str, msgspec.Meta(max_length=80, pattern=r"^.+:[0-9]{1,9}$(?!\n)")] | None = None


class StartedDayView(msgspec.Struct, frozen=True, kw_only=True, tag="started_day", tag_field="model"):
    """`rate` in CNY for each period of 24 hours that a binding starts."""

    rate: str


class CalendarDayView(msgspec.Struct, frozen=True, kw_only=True, tag="calendar_day", tag_field="model"):
    """`rate` in CNY for each date, by Asia/Shanghai, that a binding touches."""

    rate: str


class IncrementsView(msgspec.Struct, frozen=True, kw_only=True, tag="increments", tag_field="model"):
    """`minute` and `setup_fee` in CNY; the others in seconds."""

    minute: str
    first_s: int
    next_s: int
    minimum_s: int
    free_s: int
    setup_fee: str


class TaxView(msgspec.Struct, frozen=True, kw_only=True):
    """`rate` 0.06 = 6 %."""

    mode: Literal["included", "added"]
    rate: str


class TariffView(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a tariff as it was sent, with its number."""

    tariff_id: str
    version: int
    effective_from: datetime
    rental: StartedDayView | CalendarDayView
    calls: IncrementsView
    free_minutes: int
    tax: TaxView


class ListedTariffView(TariffView, frozen=True, kw_only=True):
    """A version, with who added it; null = it was there from the first."""

    note: str | None
    added_at: datetime | None
    added_by: str | None


class TariffList(msgspec.Struct, frozen=True, omit_defaults=True):
    """`next` = what to send as `after` for more."""

    tariffs: list[ListedTariffView]
    next: str | None = None


class AssignmentView(msgspec.Struct, frozen=True, kw_only=True):
    tariff_id: str
    effective_from: datetime


class AssignmentList(msgspec.Struct, frozen=True):
    assignments: list[AssignmentView]


class Tariffs:
    def __init__(self, engine: Engine) -> None:
        self._tariffs = engine.tariffs

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/tariffs", FINANCE, self.add, NewTariff),
            Endpoint("GET", "/v1/tariffs", FINANCE, self.list, TariffQuery),
            Endpoint("POST", "/v1/merchants/{merchant_id}/tariffs", PRICERS, self.assign, NewAssignment),
            Endpoint("GET", "/v1/merchants/{merchant_id}/tariffs", PRICERS, self.of_merchant),
        ]

    @answers(TariffView, status=(201,), refuses=("tariff_invalid",))
    async def add(self, call: Call, new: NewTariff) -> Answer:
        """The next version of a tariff, or a new one; 201. Where merchants pay it: 10 minutes or more from now."""
        _untied(call)
        return json_answer(201, shown_version(await self._tariffs.add(new, call.caller.key_id)))

    @answers(TariffList)
    async def list(self, call: Call, asked: TariffQuery) -> Answer:
        """Versions of tariffs, by tariff and version, 1,000 at a time, with who added them."""
        _untied(call)
        after = ("", 0) if asked.after is None else _place(asked.after)
        left = [listed for listed in sorted(await self._tariffs.listing(), key=_key) if _key(listed) > after]
        shown_now = [shown(listed) for listed in left[:PAGE]]
        more = _cursor(left[PAGE - 1]) if len(left) > PAGE else None
        return json_answer(200, {"tariffs": shown_now, **next_page(more)})

    @answers(AssignmentView, status=(201,), refuses=(Code.MERCHANT_NOT_FOUND, Code.TARIFF_NOT_FOUND, "tariff_invalid"))
    async def assign(self, call: Call, new: NewAssignment) -> Answer:
        """The tariff that the merchant pays from an instant on; 201."""
        _untied(call)
        author = call.caller.key_id
        made = await self._tariffs.assign(_merchant_id(call), new.tariff_id, new.effective_from, author)
        return json_answer(201, _assignment(made))

    @answers(AssignmentList, refuses=(Code.MERCHANT_NOT_FOUND,))
    async def of_merchant(self, call: Call, asked: Nothing) -> Answer:
        """His tariffs, oldest first; none = always the default."""
        merchant_id = _merchant_id(call)
        if call.caller.merchants is not None and merchant_id not in call.caller.merchants:
            raise Refused(Code.MERCHANT_NOT_FOUND, "no merchant has such an id")
        found = await self._tariffs.of_merchant(merchant_id)
        return json_answer(200, {"assignments": [_assignment(assignment) for assignment in found]})


def shown(listed: Listed) -> Mapping[str, object]:
    """A version, with who added it."""
    added_at = listed.added_at and utc(listed.added_at)
    return {
        **shown_version(listed.version),
        "note": listed.note,
        "added_at": added_at,
        "added_by": listed.added_by,
    }


def shown_version(version: TariffVersion) -> Mapping[str, object]:
    """As it is sent, with its number; money as plain text."""
    calls = version.calls
    return {
        "tariff_id": version.tariff_id,
        "version": version.version,
        "effective_from": utc(version.effective_from),
        "rental": {**msgspec.to_builtins(version.rental), "rate": plain(version.rental.rate)},
        "calls": {**msgspec.to_builtins(calls), "minute": plain(calls.minute), "setup_fee": plain(calls.setup_fee)},
        "free_minutes": version.free_minutes,
        "tax": {"mode": version.tax.mode, "rate": plain(version.tax.rate)},
    }


def _assignment(assignment: Assignment) -> Mapping[str, object]:
    return {"tariff_id": assignment.tariff_id, "effective_from": utc(assignment.effective_from)}


def _key(listed: Listed) -> tuple[str, int]:
    return listed.version.tariff_id, listed.version.version


def _cursor(last: Listed) -> str:
    """Where the next page begins."""
    return "{}:{}".format(*_key(last))


def _place(cursor: str) -> tuple[str, int]:
    """Raises Refused (invalid_request)."""
    tariff_id, colon, version = cursor.rpartition(":")
    if colon and version.isascii() and version.isdigit():
        return tariff_id, int(version)
    raise Refused(Code.INVALID_REQUEST, "after: send what `next` of the page before says")


def _merchant_id(call: Call) -> str:
    """Raises Refused (merchant_not_found)."""
    merchant_id = call.named("merchant_id")
    if not storable(merchant_id):
        raise Refused(Code.MERCHANT_NOT_FOUND, "no merchant has such an id")
    return merchant_id


def _untied(call: Call) -> None:
    """Raises Refused (forbidden): others' prices are not for a tied key."""
    if call.caller.merchants is not None:
        raise Refused(Code.FORBIDDEN, "a key that is tied to merchants may not do this")
