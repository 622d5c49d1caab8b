"""Tariffs: price lists, and which of them a merchant pays."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec

from vnum.api.answers import Answer, json_answer, utc
from vnum.api.auth import FINANCE, PRICERS
from vnum.api.bodies import Nothing, storable
from vnum.api.endpoint import Call, Endpoint
from vnum.engine import Engine
from vnum.finance import Assignment, Listed, TariffVersion, plain
from vnum.model.refusals import Code, Refused
from vnum.service.orders import Name
from vnum.service.tariffs import NewTariff


class NewAssignment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """effective_from left out = this month, or from the next midnight (Asia/Shanghai) on for a merchant with usage."""

    tariff_id: Name
    effective_from: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Tariffs:
    def __init__(self, engine: Engine) -> None:
        self._tariffs = engine.tariffs

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/tariffs", FINANCE, self.add, NewTariff),
            Endpoint("GET", "/v1/tariffs", FINANCE, self.list),
            Endpoint("POST", "/v1/merchants/{merchant_id}/tariffs", PRICERS, self.assign, NewAssignment),
            Endpoint("GET", "/v1/merchants/{merchant_id}/tariffs", PRICERS, self.of_merchant),
        ]

    async def add(self, call: Call, new: NewTariff) -> Answer:
        """The next version of a tariff, or a new one; 201. Where merchants pay it: 10 minutes or more from now."""
        _untied(call)
        return json_answer(201, shown_version(await self._tariffs.add(new, call.caller.key_id)))

    async def list(self, call: Call, asked: Nothing) -> Answer:
        """Every version of every tariff, with who added it."""
        _untied(call)
        return json_answer(200, {"tariffs": [shown(listed) for listed in await self._tariffs.listing()]})

    async def assign(self, call: Call, new: NewAssignment) -> Answer:
        """The tariff that the merchant pays from an instant on; 201."""
        _untied(call)
        author = call.caller.key_id
        made = await self._tariffs.assign(_merchant_id(call), new.tariff_id, new.effective_from, author)
        return json_answer(201, _assignment(made))

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
