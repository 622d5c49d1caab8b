"""The call: an order is bound, its label's number dialled on a SIP phone, both talk, and the month is billed.

Everything is the real thing: the API over HTTP, the embedded switch as a process of its own, SIP and RTP on loopback.
Only the clock of the API is set by hand, so that the month can be closed right after the call.
"""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from zoneinfo import ZoneInfo

import aiohttp
import msgspec

from vnum.api.server import serve
from vnum.demo.processes import running_switch
from vnum.demo.relay import RECORDS, Asked, Relay, open_relay
from vnum.engine import Engine, Parts, open_engine
from vnum.model.numbers import VirtualNumber, parse_number
from vnum.servers import Endpoints
from vnum.service.clock import ManualClock
from vnum.service.keys import Role
from vnum.store.migrate import drop, migrate
from vnum.vault import KeyPlace
from vnum.voice.clock import MachineClock
from vnum.voice.contract import Record
from vnum.voice.softphone.call import Incoming, Manners
from vnum.voice.softphone.phone import Phone, Trunk
from vnum.voice.softphone.scripted import Script, Told, ring_through
from vnum.voice.softphone.sound import Sound

MERCHANT: Final = "shop-1"
ORDER: Final = "A1001"
HOST: Final = "18400913965"
RECIPIENT: Final = "13800000002"
AGENT: Final = "13900000001"
"""Made up, as all numbers here."""

AGENT_HZ: Final = 700
RECIPIENT_HZ: Final = 1000
RING_S: Final = 0.8
TALK_S: Final = 2.5
CLOSE_AFTER: Final = timedelta(hours=3)
RECORD_S: Final = 10.0

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")

Say = Callable[[str], None]


class CallTrouble(Exception):
    """What came after or before the call failed."""


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """What one phone found: seconds of the other's tone, and of its own talk by its own clock."""

    heard_s: float
    talk_s: float


class Result(msgspec.Struct, frozen=True):
    """What became of the record."""

    status: str
    minutes: int | None = None
    cost: str | None = None
    code: str | None = None


class _Results(msgspec.Struct, frozen=True):
    results: list[Result]


class _Posted(msgspec.Struct, frozen=True):
    items: list[Record]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """All that a report of the call needs. `invoice` as the API gives it, `detail` its line of the call as CSV."""

    number: VirtualNumber
    label: str
    told: Told
    script: Script
    rung: Incoming
    recipient_saw: str
    agent: Leg
    recipient: Leg
    asked: list[Asked]
    record: Record
    result: Result
    invoice: dict[str, Any]
    columns: str
    detail: str


class Api:
    """Requests with a key of each role."""

    def __init__(self, http: aiohttp.ClientSession, keys: dict[Role, str]) -> None:
        self._http = http
        self._keys = keys

    async def json(self, role: Role, method: str, path: str, body: object = None) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(await self.text(role, method, path, body))
        return found

    async def text(self, role: Role, method: str, path: str, body: object = None) -> str:
        headers = {"Authorization": f"Bearer {self._keys[role]}"}
        async with self._http.request(method, path, json=body, headers=headers) as response:
            text = await response.text()
            if response.status >= 400:
                raise CallTrouble(f"{method} {path}: {response.status} {text}")
            return text


async def make_call(endpoints: Endpoints, keys: KeyPlace, say: Say) -> Shown:
    """In a schema of its own, dropped at the end. Raises Unanswered, SwitchTrouble, CallTrouble."""
    schema = f"demo_{secrets.token_hex(4)}"
    parts = Parts(
        postgres_dsn=endpoints.postgres_dsn,
        redis_url=endpoints.redis_url,
        key_file=keys.file,
        key_text=keys.text,
        key_command=keys.command,
        schema=schema,
    )
    await migrate(endpoints.postgres_admin_dsn, schema)
    try:
        clock = ManualClock(MachineClock().utc())
        async with open_engine(parts, clock=clock) as engine:
            try:
                return await _with(engine, clock, say)
            finally:
                await engine.pool.drop()
    finally:
        await drop(endpoints.postgres_admin_dsn, schema)


async def _with(engine: Engine, clock: ManualClock, say: Say) -> Shown:
    roles = (Role.ADMIN, Role.PLATFORM, Role.COURIER, Role.SWITCH, Role.FINANCE)
    keys = {role: (await engine.keys.make(role, note="demo")).text for role in roles}
    async with AsyncExitStack() as stack:
        serving = await stack.enter_async_context(serve(engine))
        api = Api(await stack.enter_async_context(aiohttp.ClientSession(serving.url)), keys)
        relay = await stack.enter_async_context(open_relay(serving.url))
        trunk, switch = await stack.enter_async_context(_telephony(relay, keys[Role.SWITCH]))
        label = await _labelled(api)
        say(f"the label says {label}")
        number = parse_number(label)
        script = Script(number=number, via=switch, hears=RECIPIENT_HZ, talk_s=TALK_S)
        agent = await stack.enter_async_context(Phone(AGENT, AGENT_HZ))
        say(f"an agent dials {number.host} and keys in {number.extension} when a voice asks for it")
        told = await ring_through(agent, script)
        rung = await trunk.call_to(RECIPIENT)
        await rung.until("ended")
        record, result = await _recorded(relay)
        say("the call is over and its record with vnum; now the clock goes past the end of the month, which is closed")
        invoice, columns, detail = await _billed(api, clock, record)
        return Shown(
            number=number,
            label=label,
            told=told,
            script=script,
            rung=rung,
            recipient_saw=_seen(rung),
            agent=Leg(heard_s=_seconds(told.call.sound, RECIPIENT_HZ), talk_s=told.call.parted - rung.answered),
            recipient=Leg(heard_s=_seconds(rung.sound, AGENT_HZ), talk_s=rung.talk_s),
            asked=relay.noted,
            record=record,
            result=result,
            invoice=invoice,
            columns=columns,
            detail=detail,
        )


@asynccontextmanager
async def _telephony(relay: Relay, key: str) -> AsyncIterator[tuple[Trunk, tuple[str, int]]]:
    """The recipient's phone behind a trunk, and a switch that reaches it."""
    with TemporaryDirectory(prefix="vnum-demo-") as name:
        trunk = Trunk()
        async with trunk:
            trunk.expect(RECIPIENT, RECIPIENT_HZ, Manners(ring_s=RING_S))
            async with running_switch(Path(name), api=relay.url, key=key, trunk=trunk.line.address) as switch:
                yield trunk, switch


async def _labelled(api: Api) -> str:
    """The number on the label of an order that is bound for it."""
    await api.json(Role.ADMIN, "POST", "/v1/hosts", {"host": HOST, "city": "Hangzhou"})
    await api.json(Role.PLATFORM, "POST", "/v1/merchants", {"merchant_id": MERCHANT, "name": "Shop 1"})
    order = {"merchant_id": MERCHANT, "order_id": ORDER}
    asked = {**order, "recipient_phone": RECIPIENT, "order_status": "shipped"}
    await api.json(Role.PLATFORM, "POST", "/v1/bindings", asked)
    label = await api.json(Role.COURIER, "GET", f"/v1/labels/{MERCHANT}/{ORDER}?format=json")
    return str(label["number"])


async def _recorded(relay: Relay) -> tuple[Record, Result]:
    """The record as the switch posted it, and what became of it. Raises CallTrouble."""
    posted = await relay.first(RECORDS, within_s=RECORD_S)
    if posted is None:
        raise CallTrouble(f"no record came within {RECORD_S:.0f} s of the call")
    (result,) = msgspec.json.decode(posted.answer, type=_Results).results
    if result.status != "rated":
        raise CallTrouble(f"the record was {result.status}: {result.code}")
    return msgspec.json.decode(posted.question, type=_Posted).items[0], result


async def _billed(api: Api, clock: ManualClock, record: Record) -> tuple[dict[str, Any], str, str]:
    """The closed invoice of the month of the call, the names of its details' columns, and the detail of the call."""
    assert record.answer_time is not None
    local = record.answer_time.astimezone(SHANGHAI)
    period = f"{local:%Y-%m}"
    clock.instant = _month_after(local) + CLOSE_AFTER
    await api.json(Role.FINANCE, "POST", "/v1/invoices/close", {"period": period})
    found = await api.json(Role.FINANCE, "GET", f"/v1/invoices?period={period}&merchant_id={MERCHANT}")
    details = (await api.text(Role.FINANCE, "GET", f"/v1/invoices/export?period={period}&format=csv")).splitlines()
    return found["invoices"][0], details[0], next(row for row in details if record.call_id in row)


def _month_after(local: datetime) -> datetime:
    first = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=31)).replace(day=1)


def _seen(rung: Incoming) -> str:
    assert rung.invite is not None
    return rung.invite.get("from")


def _seconds(sound: Sound, hz: int) -> float:
    return sum(frame.seconds for frame in sound.hears(hz))
