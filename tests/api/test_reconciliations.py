"""A carrier's file over HTTP: what it comes to, who may send one, and bodies that will not do."""

import csv
import io
from typing import Any

import pytest

from vnum.api import files

from .conftest import CALLER, HOST, OpenWorld, World, record

PATH = "/v1/reconciliations"
CSV = {"Content-Type": "text/csv"}
HEAD = "call_id,host,extension,caller,call_time,answer_time,release_time,cost"


def line(call: dict[str, Any], **changed: str) -> str:
    cells = call | changed
    return ",".join(str(cells.get(name, "")) for name in HEAD.split(","))


def file_of(*lines: str) -> bytes:
    return "\n".join([HEAD, *lines, ""]).encode()


async def charged(world: World, *call_ids: str) -> list[dict[str, Any]]:
    """Calls of 61 seconds that were reported by the switch."""
    await world.stock()
    made = (await world.bind()).body
    world.advance(hours=1)
    calls = [record(call_id, made["extension"]) for call_id in call_ids]
    reply = await world.post("/v1/calls/records", {"items": calls}, role="switch")
    assert {result["status"] for result in reply.body["results"]} == {"rated"}
    return calls


async def send(world: World, data: bytes, query: str = "", role: str = "finance", **options: Any) -> Any:
    return await world.post(PATH + query, data=data, role=role, headers=CSV | options.pop("headers", {}), **options)


async def test_a_file_that_agrees(world: World) -> None:
    calls = await charged(world, "a", "b")
    reply = await send(world, file_of(*(line(call, cost="0.03") for call in calls)), role="admin")
    assert reply.status == 200, reply.body
    assert reply.body == {
        "format": "plain",
        "from": "2026-10-05T04:01:10Z",
        "to": "2026-10-05T04:01:11Z",
        "rows": 2,
        "outside": 0,
        "callers_not_compared": 0,
        "matched": 2,
        "counts": dict.fromkeys(reply.body["counts"], 0),
        "ours": {"calls": 2, "answered": 2, "seconds": 122, "minutes": 4, "charged": "0.08"},
        "theirs": {
            "calls": 2,
            "answered": 2,
            "seconds": 122,
            "minutes": 4,
            "at_our_rates": "0.08",
            "fee": "0.06",
            "fees": 2,
        },
        "differences": [],
        "more": False,
    }
    assert len(reply.body["counts"]) == 8


async def test_differences_as_json_and_as_csv(world: World) -> None:
    a, _, b = await charged(world, "a", "ours", "b")
    data = file_of(line(a), line(b, release_time="2026-10-05T12:01:30+08:00"), line(a, call_id="theirs"))
    listed = (await send(world, data)).body["differences"]
    assert {one["call_id"]: one["kinds"] for one in listed} == {
        "b": ["different_seconds"],
        "ours": ["missing_there"],
        "theirs": ["missing_here"],
    }
    longer = next(one for one in listed if one["call_id"] == "b")
    assert (longer["our_seconds"], longer["their_seconds"], longer["our_cost"]) == (61, 20, "0.04")
    assert longer["their_cost_at_our_rates"] == "0.02"
    assert "their_fee" not in longer

    reply = await send(world, data, "?output=csv&period=2026-10")
    assert reply.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert reply.headers["Content-Disposition"] == 'attachment; filename="differences.csv"'
    rows = list(csv.DictReader(io.StringIO(reply.body)))
    assert {row["call_id"]: row["kinds"] for row in rows} == {one["call_id"]: " ".join(one["kinds"]) for one in listed}
    assert CALLER not in reply.body


async def test_only_the_first_thousand_are_in_json(world: World) -> None:
    (call,) = await charged(world, "a")
    data = file_of(*(line(call, call_id=f"c{n}") for n in range(1_200)))
    reply = await send(world, data)
    assert (len(reply.body["differences"]), reply.body["more"]) == (1_000, True)
    assert reply.body["counts"]["missing_here"] == 1_200
    assert len((await send(world, data, "?output=csv")).body.splitlines()) == 1_202


async def test_over_several_cells(open_world: OpenWorld) -> None:
    """Calls live in their host's cell, their ids and reviews in the id's."""
    async with open_world(cells=5) as world:
        await world.stock(hosts=5, merchants=("m1",))
        calls = []
        for n in range(12):
            made = (await world.bind(f"o{n}", recipient_phone=f"139{n:08}")).body
            calls.append(record(f"c{n}", made["extension"], host=made["host"]))
        world.advance(hours=1)
        assert len({call["host"] for call in calls}) > 1
        refused = record("refused", calls[0]["extension"], host=calls[0]["host"], caller="abc")
        await world.post("/v1/calls/records", {"items": [*calls[1:], refused]}, role="switch")
        reply = await send(world, file_of(*(line(call) for call in calls), line(refused, caller=CALLER)))
        assert reply.body["matched"] == 11
        assert {one["call_id"]: (one["note"], one.get("order_id")) for one in reply.body["differences"]} == {
            "c0": ("no record came", "o0"),
            "refused": ("rejected here: invalid_caller", "o0"),
        }


async def test_who_may(world: World) -> None:
    for role in ("platform", "merchant", "isv", "courier", "switch"):
        assert (await send(world, file_of(), role=role)).code == "forbidden"
    tied = await world.key_of("finance", merchants=["m1"])
    assert (await send(world, file_of(), role=tied)).code == "forbidden"
    assert (await world.post(PATH, data=file_of(), role=None, headers=CSV)).code == "unauthorized"


@pytest.mark.parametrize(
    ("query", "data", "status", "code"),
    [
        ("?format=huawei", file_of(), 422, "unusable_file"),
        ("", b"", 422, "unusable_file"),
        ("", b"{}", 422, "unusable_file"),
        ("?format=excel", file_of(), 400, "invalid_request"),
        ("?zone=Mars", file_of(), 400, "invalid_request"),
        ("?encoding=latin-1", file_of(), 400, "invalid_request"),
        ("?period=2026-13", file_of(), 400, "invalid_request"),
        ("?period=0000-01", file_of(), 400, "invalid_request"),
        ("?from=2026-10-01T00:00:00Z", file_of(), 400, "invalid_request"),
        ("?from=2026-10-01T00:00:00&to=2026-11-01T00:00:00", file_of(), 400, "invalid_request"),
        ("?from=2026-11-01T00:00:00Z&to=2026-10-01T00:00:00Z", file_of(), 400, "invalid_request"),
        ("?tolerance_s=-1", file_of(), 400, "invalid_request"),
        ("?tolerance_s=9999", file_of(), 400, "invalid_request"),
        ("?output=pdf", file_of(), 400, "invalid_request"),
        ("?carrier=nobody", file_of(), 400, "invalid_request"),
        ("?merchant_id=m1", file_of(), 400, "invalid_request"),
    ],
)
async def test_requests_that_will_not_do(world: World, query: str, data: bytes, status: int, code: str) -> None:
    reply = await send(world, data, query)
    assert (reply.status, reply.code) == (status, code), reply.body


async def test_bodies_of_another_kind(world: World) -> None:
    for headers in ({"Content-Type": "application/json"}, {"Content-Encoding": "gzip"}):
        reply = await send(world, file_of(), headers=headers)
        assert (reply.status, reply.code) == (415, "unsupported_media_type")
        assert "text/csv" in reply.body["detail"]
    reply = await world.post("/v1/bindings", data=file_of(), headers=CSV)
    assert "application/json" in reply.body["detail"]


async def test_a_file_that_is_too_large(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 1_000_000)
    (call,) = await charged(world, "a")
    data = file_of(*(line(call, call_id=f"c{n}") for n in range(9_000)))
    assert len(data) > 1_000_000
    reply = await send(world, data)
    assert (reply.status, reply.code) == (413, "body_too_large")
    assert "in parts" in reply.body["detail"]

    async def chunked() -> Any:
        for at in range(0, len(data), 100_000):
            yield data[at : at + 100_000]

    reply = await send(world, chunked())  # type: ignore[arg-type]
    assert (reply.status, reply.code) == (413, "body_too_large")
    assert (await send(world, file_of(line(call)))).body["matched"] == 1


async def test_bodies_larger_than_json_may_be(world: World) -> None:
    (call,) = await charged(world, "a")
    data = file_of(line(call), *("x" * 1_000 for _ in range(3_000)))
    reply = await send(world, data)
    assert (reply.status, reply.body["counts"]["unreadable"], reply.body["matched"]) == (200, 3_000, 1)


async def test_one_at_a_time(world: World) -> None:
    async with world.engine.reconciler._running:
        reply = await send(world, file_of())
    assert (reply.status, reply.code) == (503, "overloaded")
    assert reply.headers["Retry-After"] == "1"
    assert (await send(world, file_of(), "?period=2026-10")).status == 200


async def test_no_phone_comes_back(world: World) -> None:
    await charged(world, "a")
    wrong = f"x,{CALLER},{CALLER},{HOST},{CALLER},,{CALLER},{CALLER}"
    for query in ("", "?output=csv", "?format=plain"):
        reply = await send(world, file_of(wrong, f"{CALLER}"), query)
        assert CALLER not in reply.raw.decode()
