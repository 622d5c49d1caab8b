"""No oracle: whoever dials can not tell by any no which numbers live. Every no sounds alike and costs the same work."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import msgspec
import pytest

from tests.engines import DAY, World, phone
from tests.service.test_route_policy import mark, opt_out, policy, register
from vnum.model.bindings import Binding
from vnum.model.refusals import Code
from vnum.service import registry
from vnum.service.blacklist import NewListing
from vnum.service.route import Decision, RouteRequest

HOST = "18400000077"
CALLER = "13700000001"
LISTED = "13700000002"

Arrange = Callable[[World, Binding], Awaitable[None]]


async def nothing(world: World, binding: Binding) -> None:
    """As it is."""


async def expire(world: World, binding: Binding) -> None:
    world.pass_time(2 * DAY)


async def release(world: World, binding: Binding) -> None:
    await world.engine.lifetime.release(binding.binding_id, "returned")


async def erase(world: World, binding: Binding) -> None:
    await world.owner.execute("UPDATE bindings SET recipient = NULL")


async def want_no_shop(world: World, binding: Binding) -> None:
    await opt_out(world)


async def want_nothing(world: World, binding: Binding) -> None:
    await opt_out(world, scope="everything")


async def complain(world: World, binding: Binding) -> None:
    assert (await world.dial(binding, caller=CALLER, call_id="before")).callee
    await mark(world, "before")


async def list_caller(world: World, binding: Binding) -> None:
    await world.engine.blacklist.add(msgspec.convert({"phone": CALLER, "direction": "caller"}, NewListing))


async def list_callee(world: World, binding: Binding) -> None:
    await world.engine.blacklist.add(msgspec.convert({"phone": phone(1), "direction": "callee"}, NewListing))


async def want_names(world: World, binding: Binding) -> None:
    await policy(world, withheld=False)


async def want_registered(world: World, binding: Binding) -> None:
    await policy(world, who="registered")


async def close_order(world: World, binding: Binding) -> None:
    await world.owner.execute("UPDATE orders SET order_status = 'closed'")


async def fall_quiet(world: World, binding: Binding) -> None:
    await policy(world, quiet={"from": "17:00", "to": "18:00"})


async def exhaust(world: World, binding: Binding) -> None:
    await policy(world, calls_per_day=1)
    assert (await world.dial(binding, caller="13700000009", call_id="before")).callee


async def lock(world: World, binding: Binding) -> None:
    for n in range(10):
        await dial(world, "0001", f"guess-{n}")


NOES: dict[str, tuple[Arrange, Code]] = {
    "unknown": (nothing, Code.NO_BINDING),
    "expired": (expire, Code.BINDING_EXPIRED),
    "released": (release, Code.BINDING_RELEASED),
    "erased": (erase, Code.RECIPIENT_ERASED),
    "opted out of the shop": (want_no_shop, Code.RECIPIENT_OPTED_OUT),
    "opted out of everything": (want_nothing, Code.RECIPIENT_OPTED_OUT),
    "blocked": (complain, Code.CALLER_BLOCKED),
    "caller listed": (list_caller, Code.CALLER_BLACKLISTED),
    "callee listed": (list_callee, Code.RECIPIENT_BLACKLISTED),
    "withheld": (want_names, Code.CALLER_WITHHELD),
    "not allowed": (want_registered, Code.CALLER_NOT_ALLOWED),
    "no purpose": (close_order, Code.PURPOSE_NOT_ALLOWED),
    "quiet": (fall_quiet, Code.QUIET_HOURS),
    "capped": (exhaust, Code.CALLS_CAPPED),
    "locked out, right": (lock, Code.CALLER_LOCKED_OUT),
    "locked out, wrong": (lock, Code.CALLER_LOCKED_OUT),
}
WRONG = {"unknown", "locked out, wrong"}


async def dial(world: World, digits: str, call_id: str, caller: str = CALLER) -> Decision:
    return await world.engine.routes.route(RouteRequest(call_id=call_id, caller=caller, host=HOST, digits=digits))


class Work:
    """The statements that reach PostgreSQL, with the bytes of their parameters."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[str, int]] = []
        for method in ("fetch", "fetchrow", "fetchval", "execute"):
            patch.setattr(asyncpg.Connection, method, self._spied(getattr(asyncpg.Connection, method)))

    def _spied(self, real: Any) -> Any:
        async def spied(connection: Any, sql: str, *args: Any, **rest: Any) -> Any:
            self.sent.append((sql, len(msgspec.msgpack.encode(args))))
            return await real(connection, sql, *args, **rest)

        return spied


@pytest.fixture
async def work(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[], Work]]:
    """Begins to count."""
    await world.host(HOST, ext_digits=4, quarantine_days=30, city="Hangzhou")
    monkeypatch.setattr(registry, "FRESH_S", 3600.0)
    await world.engine.registry.refresh(force=True)
    with monkeypatch.context() as patch:
        yield lambda: Work(patch)


async def observed(world: World, work: Callable[[], Work], what: str) -> tuple[list[Any], list[tuple[str, int]]]:
    """What a phone can notice of a call with three tries, and the work that each took."""
    arrange, said = NOES[what]
    binding = await world.bind("a", ttl_days=1, city="Hangzhou", city_strict=True)
    await arrange(world, binding)
    digits = "0001" if what in WRONG else binding.extension
    caller = "anonymous" if what == "withheld" else CALLER
    spied = work()
    answers = [await dial(world, tried, "the call", caller) for tried in (digits, "0002", "0003")]
    assert answers[0].code is said
    heard = [msgspec.structs.replace(answer, code=None) for answer in answers]
    return [msgspec.to_builtins(answer) for answer in heard], spied.sent


COMMON = {"action": "reject", "prompt": "wrong_extension", "digits": 4, "cause": 1}
LAST = {"action": "reject", "prompt": "wrong_extension", "cause": 1}


@pytest.mark.parametrize("what", NOES)
async def test_every_no_sounds_alike_and_costs_the_same(world: World, work: Callable[[], Work], what: str) -> None:
    heard, sent = await observed(world, work, what)
    assert heard == [COMMON, COMMON, LAST]
    statements = [sql.partition("\n")[0] for sql, _ in sent]
    assert len(statements) == 6, "two a try"
    assert statements == statements[:2] * 3
    assert abs(sent[0][1] - sent[2][1]) <= len("anonymous"), "the question tells nothing of the slot"
    assert abs(sent[1][1] - sent[3][1]) <= 150, "what is filed of a slot's no and of an unknown one's: ids, no more"


async def test_a_call_that_goes_through_takes_the_same_two_statements(world: World, work: Callable[[], Work]) -> None:
    binding = await world.bind("a", city="Hangzhou", city_strict=True)
    spied = work()
    assert (await dial(world, binding.extension, "c")).callee
    assert len(spied.sent) == 2


async def test_a_lock_can_not_be_told_by_whoever_has_no_live_number(world: World, work: Callable[[], Work]) -> None:
    await lock(world, await world.bind("a", city="Hangzhou", city_strict=True))
    heard = [msgspec.structs.replace(await dial(world, f"00{n}0", f"call {n}"), code=None) for n in range(1, 5)]
    fresh = [
        msgspec.structs.replace(await dial(world, f"00{n}0", f"other {n}", "13700000005"), code=None)
        for n in range(1, 5)
    ]
    assert heard == fresh


async def test_registered_or_not_the_no_is_the_same(world: World) -> None:
    await register(world, CALLER, "merchant_agent")
    binding = await world.bind("a")
    await opt_out(world)
    agent = await world.dial(binding, caller=CALLER, call_id="1")
    assert agent == await world.dial(binding, caller="13700000005", call_id="2")
