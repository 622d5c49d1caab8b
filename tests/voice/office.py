"""A shop that rings its recipients: a vnum server, a switch, a trunk, and phones, each with a number and a tone."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from tests.voice.running import Program, free_port, server
from tests.voice.switches import Setup, Switch, uri
from tests.voice.talk import Order, Talk, callee_number
from vnum.engine import Engine, Parts, open_engine
from vnum.model.bindings import Binding
from vnum.model.orders import OrderStatus
from vnum.servers import Endpoints
from vnum.service.batch import Bound
from vnum.service.clock import ManualClock
from vnum.service.hosts import NewHost
from vnum.service.keys import Role
from vnum.service.merchants import NewMerchant
from vnum.service.orders import BindRequest
from vnum.store.migrate import drop, migrate
from vnum.voice.softphone.call import Call, Incoming, Keys, Manners, Outgoing
from vnum.voice.softphone.phone import Phone, Trunk
from vnum.voice.softphone.sip import LOOPBACK, user_in

HOST = "18400913965"
ROLES = (Role.PLATFORM, Role.MERCHANT, Role.FINANCE, Role.SWITCH)
SHOP, SHORT = "shop", "short"
"""Merchants; SHORT's calls are cut after LIMIT_S."""

LIMIT_S = 3
PATIENCE_S = 60
PER_MINUTE = Decimal("0.02")
TAIL_S = 0.3
"""So long a prompt that was cut short may still be heard: digits by INFO take no time, as those that sound do."""

SLACK_S = 0.1
"""Charged talk and the phones' own measure may differ by so much."""


@dataclass
class Office:
    """`engine` is the test's own, on the same database as the server's, with a clock of its own: it makes bindings."""

    engine: Engine
    clock: ManualClock
    dsn: str
    schema: str
    server: Program
    switch: Switch
    trunk: Trunk
    http: aiohttp.ClientSession
    url: str
    keys: dict[Role, str]
    stack: AsyncExitStack
    phones: dict[str, Phone] = field(default_factory=dict)
    bound: set[str] = field(default_factory=set)
    spare: dict[int, Order] = field(default_factory=dict)
    calls: int = 0
    differences: list[float] = field(default_factory=list)
    """Charged talk less the callee's own measure, in seconds, of each call that was checked."""

    exact: list[float] = field(default_factory=list)
    """Likewise, less the time from the callee's answer to the first BYE of either."""

    async def order(self, n: int, *, merchant: str = SHOP, manners: Manners | None = None, days: int = 30) -> Order:
        binding = await bind(self.engine, n, merchant, days)
        found = Order(n=n, merchant_id=merchant, binding=binding)
        self.expect(found, manners or Manners())
        return found

    def expect(self, order: Order, manners: Manners) -> None:
        self.bound.add(order.binding.extension)
        self.trunk.expect(order.callee, order.tones[1], manners)

    async def dial(self, order: Order, extension: str | None = None, **options: Any) -> Outgoing:
        """The caller's phone rings the host. Where the switch asks for nothing, the extension goes with it."""
        self.calls += 1
        if order.caller not in self.phones:
            phone = await self.stack.enter_async_context(Phone(order.caller, order.tones[0]))
            self.phones[order.caller] = phone
        digits = None if self.switch.prompts else (extension or order.binding.extension)
        to = uri(self.switch, HOST, digits)
        return await self.phones[order.caller].dial(to, self.switch.address, **options)

    async def key(self, out: Outgoing, *tries: str, way: Keys = Keys.RFC4733) -> None:
        """Keys each try in when the switch asks for it, and is heard to do so. Nothing, where it asks for nothing."""
        since = 0.0
        for digits in tries if self.switch.prompts else ():
            await out.until("answered")
            await out.sound.until_audible(since)
            await out.key(digits, way)
            since = out.seen[-1].at + TAIL_S if way is Keys.INFO else out.sound.spoke_until

    async def connect(self, order: Order, *, way: Keys = Keys.RFC4733, nth: int = 0) -> Talk:
        """Dialled, keyed in, answered, heard both ways."""
        out = await self.dial(order)
        await self.key(out, order.binding.extension, way=way)
        talk = Talk(order, out, await self.rung(order, out, nth))
        await talk.came.until("acknowledged")
        await talk.both_ways(since=talk.came.answered)
        return talk

    async def rung(self, order: Order, out: Call, nth: int = 0) -> Incoming:
        """The recipient's phone, once it rings for this call."""
        rings = asyncio.create_task(self.trunk.call_to(order.callee, nth))
        over = asyncio.create_task(out.until("ended"))
        await asyncio.wait({rings, over}, return_when=asyncio.FIRST_COMPLETED)
        for task in (rings, over):
            task.cancel()
        assert rings.done() and not rings.cancelled(), f"turned away ({out.final})"  # noqa: PT018
        return rings.result()

    def unbound(self, nth: int = 0) -> str:
        """An extension that no order has."""
        return [text for n in range(100) if (text := f"{n:04}") not in self.bound][nth]

    def pairs(self, order: Order) -> list[tuple[Outgoing, Incoming]]:
        """The order's calls, both sides of each."""
        ours = [call for call in self.phones[order.caller].calls.values() if isinstance(call, Outgoing)]
        return list(zip(ours, self.trunk.rung.get(order.callee, []), strict=True))

    async def get(self, path: str, **query: str) -> Any:
        return await self._ask("GET", path, Role.MERCHANT, params=query)

    async def put(self, path: str, body: Any) -> Any:
        return await self._ask("PUT", path, Role.PLATFORM, json=body)

    async def post(self, path: str, body: Any, role: Role) -> Any:
        return await self._ask("POST", path, role, json=body)

    async def _ask(self, method: str, path: str, role: Role, **rest: Any) -> Any:
        status, answer = await self._answer(method, path, role, **rest)
        assert status < 300, (status, answer)
        return answer

    async def _answer(self, method: str, path: str, role: Role, key: str | None = None, **rest: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.keys[role]}"} | ({} if key is None else {"Idempotency-Key": key})
        async with self.http.request(method, self.url + path, headers=headers, **rest) as response:
            return response.status, await response.json() if response.status != 204 else None

    async def order_call(self, order: Order, agent: Manners, key: str | None = None) -> str:
        """Click to dial; the agent's phone, behind the trunk too, does as told. Returns the call's id."""
        self.calls += 1
        self.trunk.expect(order.caller, order.tones[0], agent)
        ordered = await self._ask("POST", "/v1/calls/dial", Role.MERCHANT, key=key, json=_dial(order))
        assert ordered["state"] == "queued"
        call_id: str = ordered["call_id"]
        return call_id

    async def refused_call(self, order: Order) -> str:
        """The code by which an order of a call is refused."""
        status, problem = await self._answer("POST", "/v1/calls/dial", Role.MERCHANT, json=_dial(order))
        assert 400 <= status < 500, problem
        code: str = problem["code"]
        return code

    async def comes_to(self, order: Order, state: str) -> Any:
        """The order's only call, once its merchant sees it in this state."""
        async with asyncio.timeout(PATIENCE_S):
            while (call := (await self.calls_of(order))[0]).get("state") != state:  # noqa: ASYNC110 (as in filed)
                await asyncio.sleep(0.02)
        return call

    async def life(self, call_id: str) -> Any:
        return await self.get(f"/v1/calls/{call_id}")

    async def filed(self, order: Order, count: int = 1) -> list[Any]:
        """The order's recorded calls as its merchant sees them, oldest first, once there are so many."""
        async with asyncio.timeout(PATIENCE_S):
            while len(calls := await self._recorded(order)) < count:  # noqa: ASYNC110 (it happens in the server)
                await asyncio.sleep(0.05)
        assert len(calls) == count, calls
        return sorted(calls, key=lambda call: call["call_time"])

    async def _recorded(self, order: Order) -> list[Any]:
        return [call for call in await self.calls_of(order) if "state" not in call]

    async def calls_of(self, order: Order) -> list[Any]:
        at = order.binding.bound_at
        span = {"from": (at - timedelta(days=2)).isoformat(), "to": (at + timedelta(days=40)).isoformat()}
        listed = await self.get("/v1/calls", merchant_id=order.merchant_id, order_id=order.binding.order_id, **span)
        calls: list[Any] = listed["calls"]
        return calls

    async def count(self, query: str, *values: Any) -> int:
        """Rows of the database, seen by its owner."""
        owner = await asyncpg.connect(self.dsn, server_settings={"search_path": self.schema})
        try:
            found: int = await owner.fetchval(f"SELECT count(*) FROM {query}", *values)
        finally:
            await owner.close()
        return found

    async def bill(self, merchant: str, day: str) -> list[tuple[str, str, int]]:
        """Ids, costs and minutes of the calls of a day, by Asia/Shanghai."""
        page = await self._ask(
            "GET", "/v1/bills/daily", Role.FINANCE, params={"merchant_id": merchant, "biz_date": day}
        )
        return [(row["call_id"], row["cost"], row["bill_duration"]) for row in page["rows"] if row["bill_item"] == 1]

    async def refusals(self, order: Order) -> list[str]:
        """Codes of the refused calls to the order's number, as its merchant sees them."""
        span = {
            "from": (order.binding.bound_at - timedelta(days=1)).isoformat(),
            "to": (order.binding.bound_at + timedelta(days=40)).isoformat(),
        }
        listed = await self.get("/v1/calls/attempts", merchant_id=order.merchant_id, **span)
        return [one["code"] for one in listed["attempts"] if one.get("order_id") == order.binding.order_id]

    def check_numbers(self, out: Call, came: Incoming | None, order: Order) -> None:
        """Neither side saw a number of anybody but its own and X; whoever was rung was shown X."""
        everybody = {*self.phones, *self.trunk.callees}
        for call, own in ((out, order.caller), (came, order.callee)):
            for message in call.seen if call is not None else ():
                seen = [number for number in everybody - {own} if number in message.text]
                assert not seen, f"{own} saw another's number: {message.first}"
        for call in (out, came):
            if isinstance(call, Incoming):
                _check_shown(call)

    def check_talk(self, talk: Talk, call: Any, *, shift: timedelta = timedelta(0)) -> float:
        """What is charged is what the phones measured, to a tenth of a second, at the price of the tariff; returns
        the seconds charged.

        By the phones, the talk began between the callee's 200 and the ACK for it, and ended between the first BYE
        that one of them saw and the last; on a machine at rest these are milliseconds apart.
        """
        answer, release = instant(call["answer_time"]) - shift, instant(call["release_time"]) - shift
        charged = (release - answer).total_seconds()
        assert talk.least_s - SLACK_S <= charged <= talk.most_s + SLACK_S, (charged, talk.least_s, talk.most_s)
        assert talk.came.answered - SLACK_S <= answer.timestamp() <= talk.came.acknowledged + SLACK_S
        assert call["seconds"] == int(charged)
        assert call["minutes"] == -(-call["seconds"] // 60), "started minutes of whole seconds"
        assert Decimal(call["cost"]) == call["minutes"] * PER_MINUTE
        self.differences.append(charged - talk.came.talk_s)
        self.exact.append(charged - (talk.parted - talk.came.answered))
        return charged


def _check_shown(rung: Incoming) -> None:
    """X and nothing else."""
    assert rung.invite is not None
    assert user_in(rung.invite.get("from")) == HOST
    for header in ("p-asserted-identity", "p-preferred-identity", "remote-party-id", "contact"):
        users = [user_in(value) for value in rung.invite.all(header)]
        assert all(user == HOST for user in users if re.search(r"\d{5}", user)), (header, users)


def _dial(order: Order) -> dict[str, str]:
    return {
        "merchant_id": order.merchant_id,
        "order_id": order.binding.order_id,
        "agent_phone": order.caller,
    }


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def bind(engine: Engine, n: int, merchant: str, days: int) -> Binding:
    request = BindRequest(
        merchant_id=merchant,
        order_id=f"order-{n}-{secrets.token_hex(2)}",
        recipient_phone=callee_number(n),
        order_status=OrderStatus.SHIPPED,
        ttl_days=days,
    )
    (outcome,) = await engine.binder.bind([request])
    assert isinstance(outcome, Bound), outcome
    return outcome.binding


@asynccontextmanager
async def opened_office(
    endpoints: Endpoints,
    folder: Path,
    switch: Switch,
    *,
    ahead: timedelta | None = None,
    lapsed: tuple[int, ...] = (),
    mark_s: int = 0,
) -> AsyncIterator[tuple[Office, dict[int, Order]]]:
    """An office with a running server and switch, and one order for each n of `lapsed`, bound 31 days ago for 30.

    `ahead` = both clocks are so far ahead of the machine's (and the server's can be told another).
    """
    schema = f"voice_{secrets.token_hex(4)}"
    await migrate(endpoints.postgres_admin_dsn, schema)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(drop, endpoints.postgres_admin_dsn, schema)
        now = datetime.now(UTC) + (ahead or timedelta(0))
        past = ManualClock(now - timedelta(days=31))
        parts = Parts(
            postgres_dsn=endpoints.postgres_dsn,
            redis_url=endpoints.redis_url,
            key_file=folder / "master.key",
            schema=schema,
            postgres_connections=2,
        )
        engine = await stack.enter_async_context(open_engine(parts, clock=past))
        stack.push_async_callback(engine.pool.drop)
        await engine.hosts.add(NewHost(host=HOST))
        for merchant in (SHOP, SHORT):
            await engine.merchants.add(NewMerchant(merchant_id=merchant, name=merchant))
        bound = {n: Order(n=n, merchant_id=SHOP, binding=await bind(engine, n, SHOP, 30)) for n in lapsed}
        past.instant = now
        keys = {role: (await engine.keys.make(role)).text for role in ROLES}
        port = free_port()
        settings = {
            "VNUM_POSTGRES_DSN": endpoints.postgres_dsn,
            "VNUM_POSTGRES_ADMIN_DSN": endpoints.postgres_admin_dsn,
            "VNUM_REDIS_URL": endpoints.redis_url,
            "VNUM_SCHEMA": schema,
            "VNUM_PORT": str(port),
            "VNUM_MASTER_KEY_FILE": str(folder / "master.key"),
            "VNUM_DATA_DIR": str(folder),
        }
        serving = server(settings, ahead_s=None if ahead is None else ahead.total_seconds())
        stack.push_async_callback(serving.kill)
        await serving.start()
        trunk = await stack.enter_async_context(Trunk())
        key_file = folder / "switch.key"
        key_file.touch(0o600)
        key_file.write_text(keys[Role.SWITCH] + "\n")
        url = f"http://{LOOPBACK}:{port}"
        stack.push_async_callback(switch.stop)
        await switch.start(
            Setup(
                api_url=url,
                key_file=key_file,
                trunk=trunk.line.address,
                folder=folder,
                ahead_s=None if ahead is None else ahead.total_seconds(),
                mark_s=mark_s,
            )
        )
        http = await stack.enter_async_context(aiohttp.ClientSession())
        office = Office(
            engine, past, endpoints.postgres_admin_dsn, schema, serving, switch, trunk, http, url, keys, stack
        )
        await office.put(f"/v1/merchants/{SHORT}/call-policy", {"max_seconds": LIMIT_S})
        for order in bound.values():
            office.expect(order, Manners())
        yield office, bound
