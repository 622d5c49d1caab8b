"""A world where two merchants both have everything: bindings, waybills, calls, reviews, invoices, notes, disputes,
refused calls, subscriptions with deliveries, messages, grants."""

import base64
import json
from typing import Any

from .conftest import HOST, World, record

OWN, FOREIGN, ABSENT = "own", "foreign", "absent"
MERCHANTS = {OWN: "alpha", FOREIGN: "beta", ABSENT: "nowhere"}
CARRIERS = {OWN: "SF", FOREIGN: "YTO", ABSENT: "ZTO"}
PHONES = {OWN: "13812340001", FOREIGN: "13812340002", ABSENT: "13812340003"}

Things = dict[str, str]

TEMPLATE = {"template_id": "arrived", "text": "Your parcel is here.", "purpose": "delivery"}

AT = "2026-10-05T04:01:10+00:00"
"""When each merchant's first call was answered."""

GRANTED = "isv granted"
"""Name in `world.keys` of an ISV's key that both merchants let act for them, until the foreign one took it back."""

NARROWED = "isv narrowed"
"""One that both let act for them, made for the own merchant only."""

ISVS_HOOKS = {GRANTED: "hook", NARROWED: "narrow_hook", "isv": "isv_hook"}
"""Names of the subscriptions that ISVs' keys made."""

HOOKS = ("hook", "shop_hook", "spare_hook", "isv_hook", "narrow_hook")
"""Subscriptions: of the key GRANTED (two), of the merchant, of the key "isv", of the key NARROWED."""

HOOK = {
    "url": "https://shop.example.com/hook",
    "events": ["binding.released", "binding.expired", "call.ended", "invoice.closed"],
}


async def two_merchants(world: World) -> dict[str, Things]:
    """What may be named, of each side. Names and amounts of the two have nothing in common; none lies in another."""
    sides = {
        side: {
            "merchant": MERCHANTS[side],
            "carrier": CARRIERS[side],
            "phone": PHONES[side],
            "host": HOST,
            **{name: f"{MERCHANTS[side]}-{name}" for name in ("order", "lapsed", "ended", "waybill")},
        }
        for side in (OWN, FOREIGN, ABSENT)
    }
    done(await world.post("/v1/hosts", {"host": HOST, "city": "杭州"}, role="admin"))
    for n, side in enumerate((OWN, FOREIGN), start=1):
        await _october(world, sides[side], n)
    await _isvs(world, sides)
    world.advance(hours=1)
    for n, side in enumerate((OWN, FOREIGN), start=1):
        await _called(world, sides[side], n)
    world.advance(days=31)
    done(await world.post("/v1/invoices/close", {"period": "2026-10"}, role="finance"))
    done(await world.post("/v1/message-templates", TEMPLATE))
    for side in (OWN, FOREIGN):
        await _november(world, sides[side])
        await _told(world, sides[side])
    for _ in range(2):
        await world.engine.care.tend()  # what the server does by itself now and then, and so no more while a test looks
    withdrawn = f"/v1/merchants/{MERCHANTS[FOREIGN]}/grants/{_key_id(world, GRANTED)}"
    done(await world.call("DELETE", withdrawn))
    reviews = done(await world.get("/v1/calls/reviews", role="finance"))["reviews"]
    for side in (OWN, FOREIGN):
        (sides[side]["review"],) = [one["review_id"] for one in reviews if one["call_id"] == sides[side]["call"]]
    sides[ABSENT] |= {
        "call": "nowhere-call",
        "binding": _other(sides[FOREIGN]["binding"]),
        "spare": _other(sides[FOREIGN]["spare"]),
        "dialled": f"dial-{_other(sides[FOREIGN]['dialled'].removeprefix('dial-'))}",
        "extension": "0000",
        "invoice": "VN-2026-000009",
        "note": "VN-NOTE-2026-000009",
        "dispute": "900000",
        "caller": _other(sides[FOREIGN]["caller"]),
        "listing": _other(sides[FOREIGN]["listing"]),
        "review": _other(sides[FOREIGN]["review"]),
        "attempt": _other(sides[FOREIGN]["attempt"]),
        "delivery": _other(sides[FOREIGN]["delivery"]),
        "message": _other(sides[FOREIGN]["message"]),
        "token": _other(sides[FOREIGN]["token"]),
        **{name: _other(sides[FOREIGN][name]) for name in HOOKS},
    }
    for things in sides.values():
        things |= {
            "isv": _key_id(world, "isv asked for"),
            "call_place": _letters(f"{AT} {things['call']}"),
            "attempt_place": _letters(f"{AT} {things['attempt']}"),
            "label_place": _letters(json.dumps([things["merchant"], things["order"]])),
        }
    return sides


async def _isvs(world: World, sides: dict[str, Things]) -> None:
    """ISVs' keys, with a grant of each merchant, and their subscriptions; a merchant's own subscription."""
    for isv in world.isvs:
        for side in (OWN, FOREIGN):
            done(await world.call("PUT", f"/v1/merchants/{MERCHANTS[side]}/grants/{isv}"))
    world.keys[GRANTED] = await world.key_of("isv")
    world.keys[NARROWED] = await world.key_of("isv", merchants=[MERCHANTS[OWN]])
    world.keys["isv asked for"] = await world.key_of("isv")
    for side in (OWN, FOREIGN):
        things, hook = sides[side], HOOK | {"merchant_id": MERCHANTS[side]}
        own = await world.key_of("merchant", merchants=[MERCHANTS[side]])
        makers = {"shop_hook": own, "hook": GRANTED, "spare_hook": GRANTED, "isv_hook": "isv"}
        if side == OWN:
            makers["narrow_hook"] = NARROWED
        for name, maker in makers.items():
            things[name] = done(await world.post("/v1/webhooks", hook, role=maker))["webhook_id"]
    sides[FOREIGN]["narrow_hook"] = sides[FOREIGN]["isv_hook"]


async def _told(world: World, things: Things) -> None:
    """A refused call, the first event of the merchant's subscriptions, a message."""
    dialled = {"call_id": f"{things['merchant']}-refused", "caller": "0571-87650001", "host": HOST}
    reply = await world.post("/v1/calls/route", dialled | {"digits": things["extension"]}, role="switch")
    assert done(reply)["code"] == "caller_blacklisted", reply.body
    asked = f"?merchant_id={things['merchant']}&from=2026-11-01T00:00:00Z&to=2026-12-01T00:00:00Z"
    things["attempt"] = done(await world.get(f"/v1/calls/attempts{asked}"))["attempts"][0]["attempt_id"]
    waiting = done(await world.get(f"/v1/webhooks/{things['hook']}/deliveries?state=waiting"))
    things["delivery"] = waiting["deliveries"][0]["delivery_id"]
    new = {"merchant_id": things["merchant"], "recipient_token": things["token"], "template_id": "arrived"}
    things["message"] = done(await world.post("/v1/messages", new))["message_id"]


async def _october(world: World, things: Things, n: int) -> None:
    """A price list of his own, and a number."""
    merchant = things["merchant"]
    title = {"invoice_title": f"{merchant} Ltd", "tax_no": f"9133{merchant.upper()}"}
    done(await world.post("/v1/merchants", {"merchant_id": merchant, "name": f"{merchant} shop", **title}))
    prices = {
        "tariff_id": f"{merchant}-prices",
        "effective_from": "2020-01-01T00:00:00+08:00",
        "rental": {"model": "started_day", "rate": f"0.000{17 * n}"},
        "calls": {"minute": f"0.0{13 * n}77713"},
    }
    done(await world.post("/v1/tariffs", prices, role="finance"))
    chosen = {"tariff_id": prices["tariff_id"], "effective_from": "2026-10-01T00:00:00+08:00"}
    done(await world.post(f"/v1/merchants/{merchant}/tariffs", chosen, role="finance"))
    things["extension"] = (await _bind(world, things, "lapsed"))["extension"]


async def _called(world: World, things: Things, n: int) -> None:
    """A call of so many minutes as no other has, and a record that was not taken."""
    call, extension = f"{things['merchant']}-call", things["extension"]
    ended = f"2026-10-05T12:{3 + 4 * n:02}:41+08:00"
    taken = record(call, extension, answer_time="2026-10-05T12:01:10+08:00", release_time=ended)
    other = record(call, extension, call_time="2026-10-05T12:01:05+08:00", release_time=ended)
    for one, status in ((taken, "rated"), (other, "conflict")):
        reply = await world.post("/v1/calls/records", {"items": [one]}, role="switch")
        assert done(reply)["results"][0]["status"] == status, reply.body
    things["call"] = call


async def _november(world: World, things: Things) -> None:
    """A live number, another to release, a note on October, a dispute."""
    made = await _bind(world, things, "order")
    spare = await _bind(world, things, "ended")
    merchant = things["merchant"]
    listed = done(await world.get(f"/v1/invoices?merchant_id={merchant}", role="finance"))
    invoice = listed["invoices"][0]["number"]
    lines = {"reason": f"{merchant} asked", "lines": [{"call_id": things["call"]}]}
    note = done(await world.post(f"/v1/invoices/{invoice}/notes", lines, role="finance"))
    filed = {"call_id": f"{merchant}-late", "host": HOST, "extension": made["extension"], "caller": "13712345678"}
    times = {"call_time": world.clock.instant.isoformat()}
    world.advance(hours=1)
    times |= {"release_time": world.clock.instant.isoformat()}
    done(await world.post("/v1/calls/records", {"items": [filed | times]}, role="switch"))
    agent = {"phone": "0571-87650000", "class": "merchant_agent", "merchant_id": merchant}
    caller = done(await world.post("/v1/callers", agent))["caller_id"]
    pest = {"phone": "0571-87650001", "direction": "caller", "merchant_id": merchant}
    listing = done(await world.post("/v1/blacklist", pest))["blacklist_id"]
    ordered = {"merchant_id": merchant, "order_id": things["order"], "agent_phone": "0571-87650002"}
    dial = done(await world.post("/v1/calls/dial", ordered, role="merchant"))
    dispute = done(await world.post(f"/v1/calls/{merchant}-late/disputes", {"reason": "x"}, role="finance"))
    things |= {
        "binding": made["binding_id"],
        "extension": made["extension"],
        "number": made["number"],
        "token": made["recipient_token"],
        "spare": spare["binding_id"],
        "dialled": dial["call_id"],
        "invoice": invoice,
        "note": note["number"],
        "total": note["total_exact"].lstrip("-"),
        "dispute": str(dispute["dispute_id"]),
        "caller": caller,
        "listing": listing,
    }


async def _bind(world: World, things: Things, order: str) -> Any:
    parcels = [{"carrier": things["carrier"], "waybill_no": things["waybill"] if order == "order" else f"{order}-1"}]
    request = {
        "merchant_id": things["merchant"],
        "order_id": things[order],
        "recipient_phone": things["phone"],
        "order_status": "shipped",
        "recipient_name": "张三",
        "parcels": parcels,
    }
    return done(await world.post("/v1/bindings", request))


def done(reply: Any) -> Any:
    assert reply.status < 300, reply.body
    return reply.body


def tokens(things: Things) -> set[str]:
    """What gives a side away, wherever it stands."""
    known = ("merchant", "order", "lapsed", "ended", "waybill", "call", "binding", "spare", "number", "invoice", "note")
    told = ("review", "caller", "listing", "total", "phone", "attempt", "delivery", "message", "token", *HOOKS)
    more = (f"{things['merchant']} shop", f"9133{things['merchant'].upper()}", f"{things['merchant']}-prices")
    return {things[name] for name in (*known, *told) if name in things} | set(more)


def _key_id(world: World, name: str) -> str:
    return world.keys[name].split("_")[1]


def _letters(text: str) -> str:
    """As lists say where their next page begins."""
    return base64.urlsafe_b64encode(text.encode()).decode()


def _other(uuid: str) -> str:
    """An id of the same shape, month and cell that names nothing."""
    return uuid[:-1] + ("0" if uuid[-1] != "0" else "1")
