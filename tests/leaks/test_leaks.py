"""A full run through HTTP over every endpoint, with numbers drawn fresh; then everything that the system said and holds
is searched for them. They stand nowhere but in route's answer to the switch.

A new endpoint is probed by itself (`probes.py`); a step of its own in `a_month` makes it speak of something real.
"""

import logging
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.api.conftest import HOST, Reply, World, record
from tests.leaks.collect import fresh_line, fresh_mobile, of_database, of_redis, without_callee
from tests.leaks.probes import Probe, bad, good
from tests.leaks.scan import Piece, scan
from vnum.api.app import endpoints
from vnum.api.endpoint import Endpoint
from vnum.model.masking import masked_text

ROUTE = "/v1/calls/route"
FORMATS = ("csv", "xlsx", "pdf", "json", "fapiao")
NAMES = ("欧阳锋", "Zhao Qianqian")


@dataclass
class Recorder:
    """Asks, and keeps what was answered. `secrets` = every number and name that was used as such."""

    world: World
    phones: list[str] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    known: dict[str, Any] = field(default_factory=dict)

    def phone(self, number: str = "") -> str:
        self.phones.append(number or fresh_mobile())
        return self.phones[-1]

    async def say(
        self, method: str, path: str, json: Any = None, role: str | None = "platform", **options: Any
    ) -> Reply:
        reply = await self.world.call(method, path, json, role=role, **options)
        raw = without_callee(reply.raw) if path == ROUTE else reply.raw
        place = f"{method} {path.partition('?')[0]} {reply.status}"
        self.pieces.append(Piece(place, raw))
        self.pieces.append(Piece(f"{place} headers", repr(dict(reply.headers)).encode()))
        return reply

    async def probe(self, probe: Probe) -> None:
        reply = await self.say(probe.method, probe.path, probe.json, role=probe.role, data=probe.data)
        assert reply.status != 500, (probe, reply.body)
        if probe.mistaken and reply.status >= 400:
            self.refused.append(probe.mistaken)

    @property
    def secrets(self) -> list[str]:
        return [*self.phones, *self.refused, *NAMES]


async def a_month(asks: Recorder) -> None:
    """Everything that is done in a month, by every role, with all that goes wrong in one."""
    world, known = asks.world, asks.known
    await world.stock()
    known |= {"merchant_id": "m1", "host": HOST, "carrier": "SF", "waybill_no": "SF1", "period": "2026-10"}
    parcels = [{"carrier": "SF", "waybill_no": "SF1"}]
    made = await asks.say("POST", "/v1/bindings", bind(asks, "o1", recipient_name=NAMES[0], parcels=parcels), key="k1")
    lines = [bind(asks, f"l{n}", asks.phone(fresh_line())) for n in range(2)]
    await asks.say("POST", "/v1/bindings/batch", {"items": [*lines, bind(asks, "o2", ttl_days=1), "x"]})
    await asks.say("POST", "/v1/bindings", bind(asks, "o1"))  # a conflict
    await asks.say("POST", "/v1/bindings", bind(asks, "o9", merchant_id="nobody", recipient_name=NAMES[1]))
    known |= {"order_id": "o1", "binding_id": made.body["binding_id"], "extension": made.body["extension"]}
    await calls(asks, made.body["extension"])
    for item in ({"merchant_id": "m1", "order_id": "o1"}, {"carrier": "SF", "waybill_no": "SF1"}):
        for role in ("courier", "platform"):
            await asks.say("POST", "/v1/labels/current", {"items": [item], "reissue": True}, role=role)
    world.advance(days=2)
    lapsed = {"items": [{"merchant_id": "m1", "order_id": "o2"}], "reissue": True}
    await asks.say("POST", "/v1/labels/current", lapsed, role="courier")
    await reviewed(asks)
    await asks.say("POST", f"/v1/bindings/{known['binding_id']}/extend", {"days": 7})
    world.advance(days=28)
    await money(asks)


def bind(asks: Recorder, order_id: str, number: str = "", **more: Any) -> dict[str, Any]:
    phone = number or asks.phone()
    written = f"+86 {phone[:3]}-{phone[3:7]}-{phone[7:]}" if order_id == "o2" else phone
    asked = {"merchant_id": "m1", "order_id": order_id, "recipient_phone": written, "order_status": "shipped"}
    return asked | more


async def calls(asks: Recorder, extension: str) -> None:
    caller, world = asks.phone(), asks.world
    ask = {"call_id": "c1", "caller": caller, "host": HOST}
    await asks.say("POST", ROUTE, ask, role="switch")
    connected = await asks.say("POST", ROUTE, ask | {"digits": extension}, role="switch", key="r1")
    assert connected.body["callee"] == f"+86{asks.phones[0]}"
    for digits in ("0", asks.phone(), "9999"):
        await asks.say("POST", ROUTE, {**ask, "call_id": "c2", "digits": digits}, role="switch")
    await asks.say("POST", ROUTE, {**ask, "caller": f"{asks.phone()}x"}, role="switch")
    world.advance(hours=1)
    good_one = record("c1", extension, caller=caller)
    conflict = good_one | {"caller": asks.phone(), "release_time": "2026-10-05T12:04:11+08:00"}
    items = [good_one, conflict, record("c3", "0000", caller=asks.phone()), {"caller": asks.phone()}, asks.phone()]
    await asks.say("POST", "/v1/calls/records", {"items": items}, role="switch", key="r2")
    asks.known["call_id"] = "c1"


async def reviewed(asks: Recorder) -> None:
    found = (await asks.say("GET", "/v1/calls/reviews", role="finance")).body["reviews"]
    assert len(found) >= 4
    for n, review in enumerate(found):
        decision = ("accept", "retry", "discard")[n % 3]
        path = f"/v1/calls/reviews/{review['review_id']}"
        await asks.say("POST", path, {"decision": decision, "reason": f"he is {asks.phone()}"}, role="finance")
        await asks.say("POST", path, {"decision": decision, "reason": "as agreed"}, role="finance")
    asks.known["review_id"] = found[0]["review_id"]
    for state in ("open", "accepted", "discarded", "replaced", "retried"):
        await asks.say("GET", f"/v1/calls/reviews?state={state}", role="finance")
    dispute = await asks.say("POST", "/v1/calls/c1/disputes", {"reason": "not ours"}, role="merchant")
    asks.known["dispute_id"] = dispute.body["dispute_id"]


async def money(asks: Recorder) -> None:
    await asks.say("POST", "/v1/invoices/close", {"period": "2026-10"}, role="finance")
    (invoice, *_) = (await asks.say("GET", "/v1/invoices?period=2026-10", role="finance")).body["invoices"]
    number = invoice["number"]
    asks.known |= {"invoice_id": number, "invoice_number": number}
    for form in FORMATS:
        whole = await asks.say("GET", f"/v1/invoices/export?period=2026-10&format={form}", role="finance")
        one = await asks.say("GET", f"/v1/invoices/{number}/export?format={form}", role="finance")
        assert (whole.status, form == "fapiao" or one.status) in ((200, 200), (200, True)), (form, one.body)
    await asks.say("GET", "/v1/bills/daily?biz_date=2026-10-05", role="finance")
    note = {"reason": "a gift", "lines": [{"item": 1, "amount": "-0.02", "reason": "a gift"}]}
    await asks.say("POST", f"/v1/invoices/{number}/notes", note, role="finance")
    found = (await asks.say("GET", "/v1/notes", role="finance")).body
    for one in found.get("notes", []):
        asks.known["note_number"] = one["number"]
    head = "call_id,host,extension,caller,call_time,answer_time,release_time"
    body = f"{head}\nc7,{HOST},1234,{asks.phone()},{asks.phone()},,"
    csv = {"Content-Type": "text/csv"}
    for query in ("from=2026-10-01T00:00:00Z&to=2026-11-01T00:00:00Z", "period=2026-10&format=csv"):
        path = f"/v1/reconciliations?{query}"
        await asks.say("POST", path, role="finance", data=body.encode(), headers=csv)


async def rights(asks: Recorder) -> None:
    """Last, since it takes away."""
    for phone in asks.phones[:4]:
        for path, more in (("export", {}), ("export", {}), ("erase", {"reason": "asked"}), ("export", {})):
            reply = await asks.say("POST", f"/v1/recipients/{path}", {"phone": phone} | more)
            assert reply.status == 200, reply.body
        await asks.say("POST", "/v1/recipients/erase", {"phone": phone, "reason": f"mine is {phone}"})
        await asks.say("POST", "/v1/recipients/export", {"phone": f"{phone}x"})
        await asks.say("POST", "/v1/recipients/export", {"phone": phone, "after": phone})


async def probed(asks: Recorder, declared: list[Endpoint]) -> None:
    for endpoint in declared:
        await asks.probe(good(endpoint, asks.known, asks.phone()))
        for probe in bad(endpoint, asks.known, fresh_mobile):
            await asks.probe(probe)


async def everything(asks: Recorder, logged: str) -> list[Piece]:
    engine: Any = asks.world.engine
    await asks.world.engine.audit.link()
    pieces = [*asks.pieces, Piece("log", logged.encode())]
    pieces += [piece async for piece in of_database(asks.world.owner)]
    pieces += [piece async for piece in of_redis(engine.pool._redis)]
    return pieces


async def test_no_real_number_leaves_but_to_the_switch(
    world: World, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asks = Recorder(world)
    await a_month(asks)
    await probed(asks, endpoints(world.engine))
    await rights(asks)
    reply = await asks.say("GET", "/metrics", role=None)
    assert reply.status == 200
    logged = "".join(capfd.readouterr()) + caplog.text
    pieces = await everything(asks, logged)
    kinds = {piece.place.split()[0].split(".")[0] for piece in pieces}
    assert {"GET", "POST", "log", "redis", "bindings_2026_10", "audit_entries", "call_reviews"} <= kinds
    assert len(asks.phones) > 40
    leaks = scan(pieces, asks.secrets)
    assert not leaks, sorted({f"{leak.place}: {leak.form}" for leak in leaks})
    assert masked_text(asks.phones[0]) != asks.phones[0]


async def test_every_endpoint_is_asked(world: World) -> None:
    """By the probes alone: whatever is declared is reached, in each of its fields."""
    for endpoint in endpoints(world.engine):
        probes = [good(endpoint, {}, fresh_mobile()), *bad(endpoint, {}, fresh_mobile)]
        assert {probe.method for probe in probes} == {endpoint.method}
        mistaken = [probe.mistaken for probe in probes if probe.mistaken]
        assert len(set(mistaken)) == len(mistaken) >= 3
