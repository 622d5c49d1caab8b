"""Usage and spending over HTTP."""

import pytest

from .conftest import World
from .test_bills import some_days

SPEND = {"period": "2026-10", "spent": "0.04072", "alert": None, "cap": None, "state": "ok"}


async def test_usage_by_date(world: World) -> None:
    await some_days(world)
    reply = await world.get("/v1/usage/daily?merchant_id=m1&from=2026-10-04&to=2026-10-08")
    assert reply.status == 200
    assert reply.body["days"][1] == {
        "merchant_id": "m1",
        "biz_date": "2026-10-05",
        "live_numbers": 2,
        "new": 2,
        "rental_days": 2,
        "rental_cost": "0.00036",
        "calls": 1,
        "minutes": 2,
        "call_cost": "0.04",
        "cost": "0.04036",
    }
    live = [(day["biz_date"][-2:], day["live_numbers"], day["rental_days"]) for day in reply.body["days"]]
    assert live == [("04", 0, 0), ("05", 2, 2), ("06", 1, 1), ("07", 1, 1)]
    assert reply.body["sums"] == {
        "new": 2,
        "rental_days": 4,
        "rental_cost": "0.00072",
        "calls": 1,
        "minutes": 2,
        "call_cost": "0.04",
        "cost": "0.04072",
    }
    assert (reply.body["from"], reply.body["to"], reply.body["merchant_id"]) == ("2026-10-04", "2026-10-08", "m1")
    assert reply.body["spend"] == SPEND
    usual = (await world.get("/v1/usage/daily?merchant_id=m1")).body
    assert (len(usual["days"]), usual["sums"]) == (30, reply.body["sums"])


async def test_spending(world: World) -> None:
    await some_days(world)
    for limits, state in (
        ({}, "ok"),
        ({"spend_alert": "0.04073"}, "ok"),
        ({"spend_alert": "0.04072"}, "alert"),
        ({"spend_cap": "0.04073"}, "alert"),
        ({"spend_cap": "0.04072"}, "capped"),
        ({"spend_alert": None, "spend_cap": None}, "ok"),
    ):
        shown = (await world.patch("/v1/merchants/m1", limits)).body
        reply = await world.get("/v1/merchants/m1/spend", role="finance")
        assert (reply.status, reply.body["state"], reply.body["spent"]) == (200, state, "0.04072"), limits
        assert (reply.body["alert"], reply.body["cap"]) == (shown["spend_alert"], shown["spend_cap"])


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?merchant_id=",
        "?merchant_id=m1&from=2026-10-05&to=2026-10-05",
        "?merchant_id=m1&from=2026-10-06&to=2026-10-05",
        "?merchant_id=m1&from=2026-10-08",
        "?merchant_id=m1&to=2026-10-09",  # the day after tomorrow
        "?merchant_id=m1&from=2026-07-07&to=2026-10-08",  # 93 dates
        "?merchant_id=m1&from=yesterday",
        "?merchant_id=m1&from=2026-02-30",
        "?merchant_id=m1&from=0001-01-01&to=0001-01-02",
        "?merchant_id=m1&to=0001-01-01",
        "?merchant_id=m1&to=9999-12-31",
        "?merchant_id=m1&from=9999-12-31",
        "?merchant_id=m1&since=2026-10-01",
    ],
)
async def test_what_can_not_be_asked(world: World, query: str) -> None:
    await world.stock()
    world.advance(days=2)
    reply = await world.get(f"/v1/usage/daily{query}")
    assert (reply.status, reply.code) == (400, "invalid_request"), reply.body


async def test_ninety_two_dates_can_be_asked(world: World) -> None:
    await world.stock()
    reply = await world.get("/v1/usage/daily?merchant_id=m1&from=2026-07-06&to=2026-10-06")
    assert (reply.status, len(reply.body["days"])) == (200, 92)


async def test_a_tied_key_sees_its_merchants_only(world: World) -> None:
    await some_days(world)
    for role in ("merchant", "isv", "finance"):
        tied = await world.key_of(role, merchants=["m2"])
        for path in ("/v1/usage/daily?merchant_id={}", "/v1/merchants/{}/spend"):
            own = await world.get(path.format("m2"), role=tied)
            expected = 403 if role == "isv" and path.endswith("spend") else 200
            assert own.status == expected, (role, path)
            if expected == 200:
                for other in ("m1", "nobody", "%00"):
                    reply = await world.get(path.format(other), role=tied)
                    assert reply.code in ("merchant_not_found", "invalid_request"), (role, path, other)
                    assert "m1" not in str(reply.body)
