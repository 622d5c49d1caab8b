"""The calls of a merchant, as those see them who pay for them: never who rang."""

from typing import Any
from urllib.parse import quote

import pytest

from .conftest import CALLER, OpenWorld, World, record

OCTOBER = "from=2026-10-01T00:00:00%2B08:00&to=2026-11-01T00:00:00%2B08:00"


async def calls_of(world: World, query: str = OCTOBER, *, merchant: str = "m1", role: str = "merchant") -> Any:
    reply = await world.get(f"/v1/calls?merchant_id={merchant}&{query}", role=role)
    assert reply.status == 200, reply.body
    return reply.body


async def report(world: World, *items: Any) -> None:
    reply = await world.post("/v1/calls/records", {"items": list(items)}, role="switch")
    assert {result["status"] for result in reply.body["results"]} == {"rated"}, reply.body


async def some_calls(world: World, count: int = 1) -> dict[str, Any]:
    """Answered calls c0, c1... of order o1, a minute after one another; an unanswered one of order o2."""
    await world.stock()
    made = (await world.bind()).body
    other = (await world.bind("o2", recipient_phone="13912345678")).body
    world.advance(hours=2)
    await report(
        world,
        *(
            record(
                f"c{n}",
                made["extension"],
                call_time=f"2026-10-05T12:{n:02}:00+08:00",
                answer_time=f"2026-10-05T12:{n:02}:10+08:00",
                release_time=f"2026-10-05T12:{n + 1:02}:11+08:00",
                ring_time=f"2026-10-05T12:{n:02}:05+08:00",
                release_dir=1,
                release_cause=16,
            )
            for n in range(count)
        ),
        record("u", other["extension"], call_time="2026-10-05T12:30:00+08:00", answer_time=None,
               release_time="2026-10-05T12:30:20+08:00"),
    )  # fmt: skip
    return dict(made)


async def test_a_call_as_it_is_listed(world: World) -> None:
    made = await some_calls(world)
    answered, unanswered = (await calls_of(world))["calls"]
    assert answered == {
        "call_id": "c0",
        "binding_id": made["binding_id"],
        "order_id": "o1",
        "host": made["host"],
        "extension": made["extension"],
        "call_time": "2026-10-05T04:00:00Z",
        "ring_time": "2026-10-05T04:00:05Z",
        "answer_time": "2026-10-05T04:00:10Z",
        "release_time": "2026-10-05T04:01:11Z",
        "release_dir": 1,
        "release_cause": 16,
        "seconds": 61,
        "minutes": 2,
        "cost": "0.04",
        "late": False,
    }
    assert (unanswered["call_id"], unanswered["minutes"], unanswered["cost"]) == ("u", 0, "0")
    assert "answer_time" not in unanswered
    assert CALLER[-8:] not in str([answered, unanswered])
    assert "caller" not in answered


@pytest.mark.parametrize("role", ["merchant", "isv", "finance", "platform", "admin"])
async def test_who_is_tied_to_others_sees_nothing_of_it(world: World, role: str) -> None:
    await some_calls(world)
    assert len((await calls_of(world, role=role))["calls"]) == 2
    assert (await calls_of(world, merchant="m2", role=role))["calls"] == []
    if role in ("merchant", "isv", "finance"):
        for tie, count in ((["m1"], 2), (["m2"], 0), (["m1", "m2"], 2), ([], 0)):
            key = await world.key_of(role, merchants=tie)
            assert len((await calls_of(world, role=key))["calls"]) == count


@pytest.mark.parametrize("cells", [1, 3])
async def test_the_number_of_an_order_is_told_to_shops_once_it_is_shipped(open_world: OpenWorld, cells: int) -> None:
    async with open_world(cells=cells) as world:
        await world.stock(hosts=cells)
        waiting = (await world.bind("o1", order_status="waybill_issued")).body
        shipped = (await world.bind("o2", recipient_phone="13912345678")).body
        world.advance(hours=2)
        await report(
            world,
            *(record(name, made["extension"], host=made["host"]) for name, made in (("w", waiting), ("s", shipped))),
        )

        async def numbers(role: str) -> Any:
            calls = (await calls_of(world, role=role))["calls"]
            return {one["call_id"]: (one.get("host"), one.get("extension")) for one in calls}

        both = {name: (made["host"], made["extension"]) for name, made in (("w", waiting), ("s", shipped))}
        for role in ("platform", "admin"):
            assert await numbers(role) == both
        tied = [await world.key_of(role, merchants=["m1"]) for role in ("merchant", "isv", "finance")]
        for role in ("merchant", "isv", "finance", *tied):
            assert await numbers(role) == both | {"w": (None, None)}
        await world.bind("o1", order_status="shipped")
        for role in ("merchant", "isv", "finance", *tied):
            assert await numbers(role) == both


async def test_from_is_inside_and_to_is_not(world: World) -> None:
    await some_calls(world, 3)
    for query, expected in (
        ("from=2026-10-05T04:00:10Z&to=2026-10-05T04:02:10Z", ["c0", "c1"]),
        ("from=2026-10-05T04:00:10.000001Z&to=2026-10-05T04:02:10.000001Z", ["c1", "c2"]),
        ("from=2026-10-05T12:01:10%2B08:00&to=2026-10-05T12:01:11%2B08:00", ["c1"]),
        (OCTOBER + "&order_id=o2", ["u"]),
        (OCTOBER + "&order_id=none", []),
    ):
        assert [one["call_id"] for one in (await calls_of(world, query))["calls"]] == expected, query


async def test_pages_meet_without_a_gap(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of one instant too."""
    for module in ("vnum.service.calls", "vnum.api.calls"):
        monkeypatch.setattr(f"{module}.PAGE", 2)
    await world.stock()
    made = (await world.bind()).body
    world.advance(hours=2)
    names = [f"电话/{n} +" for n in range(5)]
    await report(world, *(record(name, made["extension"]) for name in names))
    seen, after = [], ""
    while True:
        body = await calls_of(world, OCTOBER + after)
        seen += [one["call_id"] for one in body["calls"]]
        if "next" not in body:
            break
        after = f"&after={quote(body['next'])}"
    assert seen == names


async def test_a_disputed_call_says_so(world: World) -> None:
    await some_calls(world)
    made = await world.post("/v1/calls/c0/disputes", {"reason": "nobody rang"}, role="merchant")
    assert [one.get("dispute") for one in (await calls_of(world))["calls"]] == ["open", None]
    body = {"outcome": "rejected", "reason": "the carrier has it"}
    await world.post(f"/v1/disputes/{made.body['dispute_id']}/resolve", body, role="finance")
    assert [one.get("dispute") for one in (await calls_of(world))["calls"]] == ["rejected", None]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "from=2026-10-01T00:00:00Z",
        "to=2026-10-01T00:00:00Z",
        "from=2026-10-01T00:00:00&to=2026-10-02T00:00:00",
        "from=2026-10-01&to=2026-10-02",
        "from=2026-10-02T00:00:00Z&to=2026-10-01T00:00:00Z",
        "from=2026-10-01T00:00:00Z&to=2026-10-01T00:00:00Z",
        "from=2026-10-01T00:00:00Z&to=2027-01-01T00:00:01Z",
        "from=0001-01-01T00:00:00%2B14:00&to=0001-01-02T00:00:00Z",
        "from=9999-12-31T00:00:00Z&to=9999-12-31T23:59:59-14:00",
        OCTOBER + "&order_id=",
        OCTOBER + "&caller=13712345678",
        OCTOBER + "&after=",
        OCTOBER + "&after=x",
        OCTOBER + "&after=MjAyNi0xMC0wNSBj",
        OCTOBER + "&after=%00",
        OCTOBER + "&after=Ow==",
        OCTOBER + "&merchant_id=m1",
        OCTOBER + "&" + OCTOBER,
    ],
)
async def test_a_query_that_is_wrong(world: World, query: str) -> None:
    reply = await world.get(f"/v1/calls?merchant_id=m1&{query}", role="merchant")
    assert (reply.status, reply.code) == (400, "invalid_request"), reply.body


@pytest.mark.parametrize("edge", ["from=0001-01-01T00:00:00Z&to=0001-02-01T00:00:00Z",
                                  "from=9999-12-01T00:00:00Z&to=9999-12-31T23:59:59Z",
                                  "from=2026-10-01T00:00:00Z&to=2027-01-01T00:00:00Z"])  # fmt: skip
async def test_the_ends_of_the_calendar(world: World, edge: str) -> None:
    assert "calls" in await calls_of(world, edge)
