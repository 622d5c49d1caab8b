"""Notes over HTTP: a closed invoice put right by hand, and a month rated anew."""

from typing import Any

import pytest

from .conftest import World, record

ONE, TWO = "VN-2026-000001", "VN-2026-000002"
NOTE = "VN-NOTE-2026-000001"


@pytest.fixture
async def october(world: World) -> World:
    """m1: 27 days and a call of two minutes in October, 0.04486, due 0.04; m2: a day, 0.00018. Closed."""
    await world.stock()
    made = (await world.bind()).body
    await world.bind("o2", merchant_id="m2", ttl_days=1)
    world.advance(hours=1)
    await world.post("/v1/calls/records", {"items": [record("c1", made["extension"])]}, role="switch")
    world.advance(days=30)
    assert (await world.post("/v1/invoices/close", {"period": "2026-10"}, role="finance")).status == 200
    return world


async def issue(world: World, *lines: dict[str, Any], number: str = ONE, role: str = "finance", **more: Any) -> Any:
    body = {"reason": f"disputed on {number}", "lines": list(lines)} | more.pop("body", {})
    return await world.post(f"/v1/invoices/{number}/notes", body, role=role, **more)


async def test_a_call_is_credited(october: World) -> None:
    reply = await issue(october, {"call_id": "c1"}, body={"author": "Li Wei"})
    assert reply.status == 201, reply.body
    key_id = october.keys["finance"].split("_")[1]
    call = {"binding_id": reply.body["lines"][0]["binding_id"], "order_id": "o1", "call_id": "c1"}
    assert reply.body == {
        "number": NOTE,
        "kind": "credit",
        "source": "manual",
        "invoice_number": ONE,
        "merchant_id": "m1",
        "period": "2026-10",
        "issued_at": "2026-11-04T05:00:00Z",
        "author": f"{key_id} (Li Wei)",
        "reason": f"disputed on {ONE}",
        "tariff_id": None,
        "total_exact": "-0.04",
        "tax_exact": "0",
        "amount_due": "-0.04",
        "carried_out": "0",
        "taxes": [{"mode": "included", "rate": "0", "base": "-0.04", "added": "0"}],
        "lines": [
            {
                "bill_item": 1,
                "kind": "call",
                "amount": "-0.04",
                "tax_mode": "included",
                "tax_rate": "0",
                "charged": "0.04",
                "correct": "0",
                "biz_date": "2026-10-05",
                "tariff_id": "default",
                "tariff_version": 1,
                "rate": "0.02",
                "unit_s": 60,
                **call,
            }
        ],
    }
    assert (await october.get(f"/v1/notes/{NOTE}", role="finance")).body == {**reply.body, "carried_to": None}
    again = await issue(october, {"call_id": "c1"})
    assert (again.status, again.code) == (409, "note_exceeds_invoice")


async def test_a_note_as_a_file(october: World) -> None:
    await issue(october, {"call_id": "c1"})
    path = f"/v1/notes/{NOTE}/export"
    reply = await october.get(f"{path}?format=json", role="finance")
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["Content-Disposition"] == f'attachment; filename="note-{NOTE}.json"'
    assert reply.body == (await october.get(f"/v1/notes/{NOTE}", role="finance")).body
    reply = await october.get(f"{path}?format=pdf", role="admin")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/pdf")
    assert reply.headers["Content-Disposition"] == f'attachment; filename="note-{NOTE}.pdf"'
    own, foreign = [await october.key_of("finance", merchants=[name]) for name in ("m1", "m2")]
    assert (await october.get(f"{path}?format=json", role=own)).status == 200
    for wrong, role, status, code in (
        (f"{path}?format=json", foreign, 404, "note_not_found"),
        (f"{path}?format=pdf", foreign, 404, "note_not_found"),
        ("/v1/notes/VN-NOTE-2026-000009/export?format=pdf", "finance", 404, "note_not_found"),
        ("/v1/notes/%00/export?format=pdf", "finance", 404, "note_not_found"),
        (path, "finance", 400, "invalid_request"),
        (f"{path}?format=csv", "finance", 400, "invalid_request"),
        (f"{path}?format=pdf&bom=true", "finance", 400, "invalid_request"),
        (f"{path}?format=pdf", "merchant", 403, "forbidden"),
    ):
        reply = await october.get(wrong, role=role)
        assert (reply.status, reply.code) == (status, code), (wrong, reply.body)


async def test_the_files_of_a_month_have_its_notes(october: World) -> None:
    await issue(october, {"call_id": "c1"})
    for query, amounts in (("period=2026-10", ["0.04"]), ("period=2026-11", ["0.01", "-0.04"])):
        if query.endswith("11"):
            october.advance(days=30)
            await october.post("/v1/invoices/close", {"period": "2026-11"}, role="finance")
        listed = (await october.get(f"/v1/invoices/export?{query}&format=fapiao", role="finance")).body
        assert [line.split(",")[9] for line in listed.splitlines()[1:]] == amounts, query
    one = (await october.get(f"/v1/invoices/{ONE}/export?format=fapiao", role="finance")).body.splitlines()[1:]
    assert [(line.split(",")[9], line.split(",")[-1]) for line in one] == [("0.04", ""), ("-0.04", NOTE)]
    tied = await october.key_of("finance", merchants=["m2"])
    listed = (await october.get("/v1/invoices/export?period=2026-11&format=fapiao", role=tied)).body
    assert len(listed.splitlines()) == 1


async def test_an_invoice_tells_its_notes_and_what_it_comes_to(october: World) -> None:
    binding = (await october.get("/v1/bindings?merchant_id=m1&order_id=o1")).body["bindings"][0]["binding_id"]
    await issue(october, {"binding_id": binding, "biz_date": "2026-10-06"})
    await issue(october, {"bill_item": 1, "amount": "0.011", "text": "a call of the old switch"}, role="admin")
    invoice = (await october.get(f"/v1/invoices/{ONE}", role="finance")).body
    assert invoice["notes"] == [NOTE, "VN-NOTE-2026-000002"]
    # 0.04486 - 0.00018 + 0.011; due 0.04 + 0.00 + 0.01
    assert (invoice["balance_after_notes"], invoice["amount_due_after_notes"]) == ("0.05568", "0.05")
    assert (invoice["balance"], invoice["amount_due"]) == ("0.04486", "0.04")
    listed = (await october.get(f"/v1/invoices/{ONE}/notes", role="finance")).body
    assert [(note["kind"], note["carried_out"]) for note in listed["notes"]] == [
        ("credit", "-0.00018"),
        ("debit", "0.001"),
    ]
    october.advance(days=30)
    await october.post("/v1/invoices/close", {"period": "2026-11"}, role="finance")
    november = (await october.get("/v1/invoices?period=2026-11&merchant_id=m1", role="finance")).body["invoices"][0]
    assert november["carried_in"] == "0.00568"  # 0.00486 - 0.00018 + 0.001
    taken = (await october.get(f"/v1/invoices/{november['number']}", role="finance")).body["carried_in_notes"]
    assert taken == invoice["notes"]
    assert (await october.get(f"/v1/notes/{NOTE}", role="finance")).body["carried_to"] == november["number"]


BAD: list[tuple[Any, int, str]] = [
    ({}, 400, "invalid_request"),
    ({"reason": "x"}, 400, "invalid_request"),
    ({"reason": "x", "lines": []}, 400, "invalid_request"),
    ({"reason": "", "lines": [{"call_id": "c1"}]}, 400, "invalid_request"),
    ({"reason": "x\n", "lines": [{"call_id": "c1"}]}, 400, "invalid_request"),
    ({"reason": "x", "lines": [{"call_id": "c1"}], "force": True}, 400, "invalid_request"),
    ({"reason": "call 138 1234 5678", "lines": [{"call_id": "c1"}]}, 400, "invalid_request"),
    ({"reason": "x", "author": "13812345678", "lines": [{"call_id": "c1"}]}, 400, "invalid_request"),
    (
        {"reason": "x", "lines": [{"bill_item": 1, "amount": "-0.01", "text": "for 13812345678"}]},
        400,
        "invalid_request",
    ),
    ({"reason": "x", "lines": [{}]}, 400, "invalid_request"),
    ({"reason": "x", "lines": [{"call_id": "c1", "bill_item": 1}]}, 400, "invalid_request"),
    ({"reason": "x", "lines": [{"call_id": "c1", "biz_date": "2026-10-05"}]}, 400, "invalid_request"),
    ({"reason": "x", "lines": [{"call_id": "c1", "text": "why"}]}, 400, "invalid_request"),
    ({"reason": "x", "lines": [{"call_id": "c\u0000"}]}, 400, "invalid_request"),
    ({"reason": "x", "lines": [{"binding_id": "1"}]}, 400, "invalid_request"),
    ({"reason": "x", "lines": [{"bill_item": 1}]}, 400, "invalid_request"),
    ({"reason": "x", "lines": [{"bill_item": 2, "amount": "-1", "text": "t"}]}, 400, "invalid_request"),
    ({"reason": "x", "lines": [{"bill_item": 1, "amount": "much", "text": "t"}]}, 400, "invalid_request"),
    ({"reason": "x", "lines": [{"bill_item": 1, "amount": "NaN", "text": "t"}]}, 422, "note_invalid"),
    ({"reason": "x", "lines": [{"bill_item": 1, "amount": "1e400000", "text": "t"}]}, 422, "note_invalid"),
    ({"reason": "x", "lines": [{"bill_item": 1, "amount": "0", "text": "t"}]}, 422, "note_invalid"),
    ({"reason": "x", "lines": [{"bill_item": 1, "amount": "-1E-13", "text": "t"}]}, 422, "note_invalid"),
    ({"reason": " ", "lines": [{"call_id": "c1"}]}, 422, "note_invalid"),
    ({"reason": "x", "lines": [{"call_id": "c2"}]}, 422, "note_invalid"),
    ({"reason": "x", "lines": [{"call_id": "c1", "amount": "0.01"}]}, 422, "note_invalid"),
    ({"reason": "x", "lines": [{"binding_id": "019bd93c-d040-7000-b85f-ab117e4c212a"}]}, 422, "note_invalid"),
    ({"reason": "x", "lines": [{"call_id": "c1", "amount": "-0.05"}]}, 409, "note_exceeds_invoice"),
    ({"reason": "x", "lines": [{"bill_item": 0, "amount": "-0.05", "text": "t"}]}, 409, "note_exceeds_invoice"),
]


async def test_what_is_no_note(october: World) -> None:
    for body, status, code in BAD:
        reply = await october.post(f"/v1/invoices/{ONE}/notes", body, role="finance")
        assert (reply.status, reply.code) == (status, code), (body, reply.body)
    for path, status, code in (
        ("/v1/notes/VN-NOTE-2026-000001", 404, "note_not_found"),
        ("/v1/notes/%00", 404, "note_not_found"),
        ("/v1/notes?after=VN-NOTE-2026-000001", 404, "note_not_found"),
        ("/v1/notes?period=2026", 400, "invalid_request"),
        ("/v1/notes?page=2", 400, "invalid_request"),
        ("/v1/invoices/VN-2026-000009/notes", 404, "invoice_not_found"),
    ):
        reply = await october.get(path, role="finance")
        assert (reply.status, reply.code) == (status, code), (path, reply.body)
    reply = await issue(october, {"call_id": "c1"}, number="VN-2026-000009")
    assert (reply.status, reply.code) == (404, "invoice_not_found")
    assert (await october.rows("notes"), await october.rows("note_serials")) == (0, 0)


async def test_every_problem_is_told_at_once(october: World) -> None:
    lines = [{"call_id": "c2"}, {"call_id": "c1", "amount": "0.01"}, {"bill_item": 0, "amount": "0", "text": "t"}]
    detail = (await issue(october, *lines)).body["detail"]
    assert [f"line {n}: " in detail for n in (1, 2, 3)] == [True] * 3, detail


async def test_a_note_repeated_under_its_key_is_one_note(october: World) -> None:
    line = {"bill_item": 1, "amount": "-0.01", "text": "goodwill"}
    first = await issue(october, line, key="k1")
    again = await issue(october, line, key="k1")
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await issue(october, {**line, "amount": "-0.02"}, key="k1")
    assert (other.status, other.code) == (422, "idempotency_mismatch")
    assert await october.rows("notes") == 1
    assert (await issue(october, line)).body["number"] == "VN-NOTE-2026-000002"


async def test_a_tied_key_sees_its_merchants_and_writes_nothing(october: World) -> None:
    await issue(october, {"call_id": "c1"})
    await issue(october, {"bill_item": 0, "amount": "-0.0001", "text": "t"}, number=TWO)
    tied = await october.key_of("finance", merchants=["m2"])
    listed = (await october.get("/v1/notes", role=tied)).body["notes"]
    assert [note["merchant_id"] for note in listed] == ["m2"]
    assert (await october.get("/v1/notes?merchant_id=m1", role=tied)).body == {"notes": []}
    assert (await october.get(f"/v1/notes/{NOTE}", role=tied)).code == "note_not_found"
    assert (await october.get(f"/v1/notes?after={NOTE}", role=tied)).code == "note_not_found"
    assert (await october.get(f"/v1/invoices/{ONE}/notes", role=tied)).code == "invoice_not_found"
    assert len((await october.get(f"/v1/invoices/{TWO}/notes", role=tied)).body["notes"]) == 1
    reply = await issue(october, {"bill_item": 0, "amount": "1", "text": "t"}, number=TWO, role=tied)
    assert (reply.status, reply.code) == (403, "forbidden")
    reply = await rerate(october, role=tied)
    assert (reply.status, reply.code) == (403, "forbidden")


async def test_notes_are_listed(october: World) -> None:
    for number, amount in ((ONE, "-0.001"), (TWO, "0.002"), (ONE, "-0.003")):
        await issue(october, {"bill_item": 0, "amount": amount, "text": "t"}, number=number)
    for query, amounts in (
        ("", ["-0.001", "0.002", "-0.003"]),
        ("?period=2026-10", ["-0.001", "0.002", "-0.003"]),
        ("?period=2026-11", []),
        ("?merchant_id=m2", ["0.002"]),
        (f"?merchant_id=m1&after={NOTE}", ["-0.003"]),
    ):
        listed = (await october.get(f"/v1/notes{query}", role="finance")).body["notes"]
        assert [note["total_exact"] for note in listed] == amounts, query


async def rerate(world: World, role: str = "finance", **body: Any) -> Any:
    return await world.post("/v1/invoices/rerate", {"period": "2026-10", "reason": "price list", **body}, role=role)


async def cheaper(world: World) -> None:
    """A price list of 0.0099 a minute that nobody pays, from before October on."""
    new = {
        "tariff_id": "agreed",
        "effective_from": "2026-09-01T00:00:00+08:00",
        "rental": {"model": "started_day", "rate": "0.00018"},
        "calls": {"model": "increments", "minute": "0.0099"},
    }
    assert (await world.post("/v1/tariffs", new, role="finance")).status == 201


async def test_a_month_is_rated_anew(october: World) -> None:
    await cheaper(october)
    found = {
        "invoice_number": ONE, "merchant_id": "m1", "charged": "0.04486", "difference": "-0.0202",
        "amount_due": "-0.02", "note_number": None,
    }  # fmt: skip
    report = {
        "period": "2026-10", "tariff_id": "agreed", "dry_run": True, "invoices": 2, "notes": 1, "refused": 0,
        "credits": "-0.0202", "debits": "0", "amount_due": "-0.02", "found": [found],
    }  # fmt: skip
    assert (await rerate(october, tariff_id="agreed", dry_run=True)).body == report
    assert await october.rows("notes") == 0
    done = await rerate(october, tariff_id="agreed", author="Li Wei")
    assert done.body == {**report, "dry_run": False, "found": [{**found, "note_number": NOTE}]}
    note = (await october.get(f"/v1/notes/{NOTE}", role="finance")).body
    assert (note["source"], note["tariff_id"], note["amount_due"], note["carried_out"]) == (
        "rerating", "agreed", "-0.02", "-0.0002",
    )  # fmt: skip
    assert [(line["kind"], line["charged"], line["correct"]) for line in note["lines"] if line["bill_item"] == 1] == [
        ("call", "0", "0.0198"),
        ("call", "0.04", "0"),
    ]
    again = (await rerate(october, tariff_id="agreed")).body
    assert (again["invoices"], again["notes"], again["found"]) == (2, 0, [])
    back = (await rerate(october, merchant_id="m1")).body
    assert (back["invoices"], back["debits"]) == (1, "0.0202")


async def test_what_is_refused_is_told(october: World) -> None:
    await cheaper(october)
    await issue(october, {"bill_item": 1, "amount": "-0.044", "text": "all of it"})
    (found,) = (await rerate(october, tariff_id="agreed")).body["found"]
    assert (found["invoice_number"], found["refused"]) == (ONE, "note_exceeds_invoice")
    for body, status, code in (
        ({"period": "2026-13"}, 400, "invalid_request"),
        ({"period": "2026-11"}, 409, "period_not_closed"),
        ({"reason": ""}, 400, "invalid_request"),
        ({"reason": "as 13812345678 asked"}, 400, "invalid_request"),
        ({"reason": " "}, 422, "note_invalid"),
        ({"tariff_id": "nothing"}, 409, "tariff_missing"),
        ({"merchant_id": "nobody"}, 404, "merchant_not_found"),
        ({"dry_run": "yes"}, 400, "invalid_request"),
        ({"force": True}, 400, "invalid_request"),
    ):
        reply = await rerate(october, **body)
        assert (reply.status, reply.code) == (status, code), (body, reply.body)
