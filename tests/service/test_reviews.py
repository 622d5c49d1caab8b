"""Records that were not taken: how they are shown, and what each decision makes of them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from tests.engines import DAY, HOST, World, on_pool, the, unknown_id
from vnum.engine import Engine, assemble
from vnum.model.refusals import Code, Refused
from vnum.service.decide import Decided, Decision
from vnum.service.keep import NotTaken, Status
from vnum.service.records import CallRecord, Reported
from vnum.service.reviews import Review, ReviewState

from .test_records import CALLER, lent, record

SECOND = timedelta(seconds=1)
MONTH_END = datetime(2026, 10, 31, 16, 0, tzinfo=UTC)
"""October's, in Asia/Shanghai."""


async def report(world: World, one: CallRecord) -> Reported:
    return (await world.engine.records.report([one]))[0]


async def reviews(world: World, state: ReviewState = ReviewState.OPEN) -> list[Review]:
    return await world.engine.reviews.page(state=state)


async def only(world: World, state: ReviewState = ReviewState.OPEN) -> Review:
    (review,) = await reviews(world, state)
    return review


async def decide(world: World, decision: Decision, review_id: UUID | None = None) -> Decided:
    """The only open review, or the one given."""
    chosen = review_id or (await only(world)).review_id
    return await world.engine.decider.decide(chosen, decision, reason="as agreed", by="ann")


async def refused(world: World, decision: Decision, review_id: UUID | None = None) -> Code:
    with pytest.raises(Refused) as error:
        await decide(world, decision, review_id)
    return the(error).code


async def conflict(world: World, **given: Any) -> tuple[CallRecord, CallRecord]:
    """(the charged record of two minutes, another one of three minutes that is kept aside)."""
    binding = await lent(world)
    first = record(world, binding, release_cause=16, release_dir=1)
    other = msgspec.structs.replace(first, **({"release_time": world.now + 60 * SECOND} | given))
    assert (await report(world, first)).status is Status.RATED
    assert (await report(world, other)).status is Status.CONFLICT
    return first, other


async def charged(world: World) -> Any:
    (row,) = await world.owner.fetch("SELECT * FROM calls")
    return row


# What is shown


@pytest.mark.parametrize(
    ("given", "code", "shown"),
    [
        ({"host": "18400000009"}, Code.HOST_NOT_FOUND, {"host": "184****0009", "caller": "138****0000"}),
        ({"caller": "13800000000x"}, Code.INVALID_CALLER, {"caller": "unreadable, 12 characters"}),
        ({"extension": CALLER}, Code.INVALID_NUMBER, {"extension": "11 characters"}),
        ({"host": "+8613800000000"}, Code.HOST_NOT_FOUND, {"host": "138****0000"}),
        ({"host": "is 13800000000"}, Code.HOST_NOT_FOUND, {"host": "unreadable, 14 characters"}),
        ({"caller": "x"}, Code.INVALID_CALLER, {"host": HOST}),
        ({"caller": "02112345678", "host": "18400000009"}, Code.HOST_NOT_FOUND, {"caller": "+86********78"}),
        ({"caller": "anonymous", "host": "18400000009"}, Code.HOST_NOT_FOUND, {"caller": "anonymous"}),
    ],
    ids=str,
)
async def test_a_rejected_record_is_shown_without_a_phone(
    world: World, given: dict[str, Any], code: Code, shown: dict[str, str]
) -> None:
    binding = await lent(world)
    told = await report(world, record(world, binding, **given))
    review = await only(world)
    assert (review.status, review.code, review.detail) == (Status.REJECTED, code, told.detail)
    assert (review.size, review.charged, review.state) == (None, None, ReviewState.OPEN)
    assert review.record is not None
    assert msgspec.structs.asdict(review.record).items() >= shown.items()
    assert b"3800000000" not in msgspec.json.encode(review)
    assert b"2112345678" not in msgspec.json.encode(review)


async def test_an_item_that_can_not_be_read_shows_its_size_and_why(world: World) -> None:
    text = f'{{"call_id": "c", "caller": {CALLER}}}'
    one = NotTaken(call_id="c", status=Status.REJECTED, code=Code.INVALID_REQUEST, detail="caller: no text", text=text)
    await world.engine.keeper.keep([one, one])
    review = await only(world)
    assert (review.record, review.size, review.detail) == (None, len(text), "caller: no text")
    assert CALLER.encode() not in msgspec.json.encode(review)


async def test_a_conflict_is_shown_beside_what_is_charged(world: World) -> None:
    first, other = await conflict(world)
    review = await only(world)
    assert (review.status, review.code) == (Status.CONFLICT, Code.RECORD_CONFLICT)
    assert review.record is not None
    assert review.record.release_time == other.release_time
    assert review.charged is not None
    assert (review.charged.release_time, review.charged.seconds, review.charged.minutes, review.charged.cost) == (
        first.release_time, 61, 2, Decimal("0.04"),
    )  # fmt: skip
    assert (review.charged.caller, review.charged.month_closed) == ("138****0000", False)
    world.pass_time(MONTH_END + DAY - world.now)
    await world.engine.invoices.close("2026-10")
    assert (await only(world)).charged.month_closed  # type: ignore[union-attr]


async def test_reviews_are_filtered_and_paged(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vnum.service.reviews.PAGE", 2)
    binding = await lent(world)
    for n in range(3):
        await report(world, record(world, binding, call_id=f"h{n}", host="18400000009"))
        world.pass_time(SECOND)
    await report(world, record(world, binding, call_id="x", caller="?"))
    page = world.engine.reviews.page
    first = await page()
    second = await page(after=first[-1].review_id)
    assert [one.call_id for one in (*first, *second)] == ["h0", "h1", "h2", "x"]
    assert await page(after=second[-1].review_id) == []
    assert [one.call_id for one in await page(code="invalid_caller")] == ["x"]
    assert await page(status=Status.CONFLICT) == []
    assert await page(state=ReviewState.DISCARDED) == []


# Discard


async def test_what_is_discarded_is_charged_to_nobody_and_keeps_its_reason(world: World) -> None:
    _, other = await conflict(world)
    decided = await decide(world, Decision.DISCARD)
    assert (decided.state, decided.minutes, decided.cost) == (ReviewState.DISCARDED, None, None)
    review = await only(world, ReviewState.DISCARDED)
    assert (review.decided_at, review.decided_by, review.reason) == (world.now, "ann", "as agreed")
    assert (await charged(world))["minutes"] == 2
    assert (await report(world, other)).status is Status.CONFLICT
    assert await reviews(world) == [], "it stays discarded, however often it is sent"


# Retry


async def test_a_retry_after_the_host_was_registered_is_charged(bare_world: World) -> None:
    world = bare_world
    await world.merchant()
    await world.host()
    binding = await lent(world)
    call = record(world, binding, binding_id=binding.binding_id, extension=None)
    await world.owner.execute("UPDATE hosts SET host = '18400000001'")
    other = World(_fresh(world), world.owner, world.clock, world.parts)
    assert (await report(other, call)).code is Code.HOST_NOT_FOUND
    assert (await decide(other, Decision.RETRY)).code is Code.HOST_NOT_FOUND
    assert (await only(other)).state is ReviewState.OPEN
    await world.owner.execute(f"UPDATE hosts SET host = '{HOST}'")
    decided = await decide(World(_fresh(world), world.owner, world.clock, world.parts), Decision.RETRY)
    assert (decided.state, decided.status, decided.minutes, decided.cost) == (
        ReviewState.RETRIED, Status.RATED, 2, Decimal("0.04"),
    )  # fmt: skip
    assert (await charged(world))["order_id"] == "a"
    assert (await only(world, ReviewState.RETRIED)).charged is not None


def _fresh(world: World) -> Engine:
    """An engine that remembers nothing of the hosts."""
    engine = world.engine
    return assemble(world.parts, engine.database, engine.pool, engine.vault, world.clock)


async def test_a_record_that_is_refused_again_stays_open_with_the_new_code(world: World) -> None:
    binding = await lent(world)
    call = record(world, binding, release_time=world.now + timedelta(hours=8), extension="x")
    await report(world, call)
    assert (await only(world)).code is Code.INVALID_NUMBER
    early = record(world, binding, call_id="early", release_time=world.now + timedelta(hours=8))
    await report(world, early)
    ids = {one.call_id: one.review_id for one in await reviews(world)}
    await report(world, record(world, binding, call_id="early"))
    world.pass_time(timedelta(hours=9))
    decided = await decide(world, Decision.RETRY, ids["early"])
    assert (decided.state, decided.status, decided.code) == (
        ReviewState.OPEN, Status.CONFLICT, Code.RECORD_CONFLICT,
    )  # fmt: skip
    kept = {one.call_id: one for one in await reviews(world)}
    assert (kept["early"].status, kept["early"].code) == (Status.CONFLICT, Code.RECORD_CONFLICT)
    assert kept["early"].review_id == ids["early"], "there is one review of a content"
    assert (await decide(world, Decision.ACCEPT, ids["early"])).state is ReviewState.ACCEPTED


async def test_a_retry_of_what_was_sent_again_meanwhile_is_a_duplicate(world: World) -> None:
    binding = await lent(world)
    early = record(world, binding, release_time=world.now + timedelta(hours=8))
    await report(world, early)
    world.pass_time(timedelta(hours=9))
    await report(world, early)
    decided = await decide(world, Decision.RETRY)
    assert (decided.state, decided.status, decided.minutes) == (ReviewState.RETRIED, Status.DUPLICATE, 482)
    assert (await charged(world))["minutes"] == 482


async def test_what_can_not_be_read_can_only_be_discarded(world: World) -> None:
    one = NotTaken(call_id="", status=Status.REJECTED, code=Code.INVALID_REQUEST, detail="", text="\\xff{")
    await world.engine.keeper.keep([one])
    assert await refused(world, Decision.RETRY) is Code.DECISION_MISMATCH
    assert await refused(world, Decision.ACCEPT) is Code.DECISION_MISMATCH
    assert (await decide(world, Decision.DISCARD)).state is ReviewState.DISCARDED


# Accept


async def test_an_accepted_record_takes_the_place_of_the_charged_call(world: World) -> None:
    first, other = await conflict(world, caller="13900000000", release_cause=31, release_dir=2)
    decided = await decide(world, Decision.ACCEPT)
    assert (decided.state, decided.status, decided.minutes, decided.cost) == (
        ReviewState.ACCEPTED, Status.RATED, 3, Decimal("0.06"),
    )  # fmt: skip
    row = await charged(world)
    assert (row["seconds"], row["minutes"], row["cost"], row["rate"]) == (121, 3, Decimal("0.06"), Decimal("0.02"))
    assert (row["release_time"], row["release_cause"], row["release_dir"]) == (other.release_time, 31, 2)
    assert (row["merchant_id"], row["order_id"], row["late"]) == ("m", "a", False)
    assert world.engine.vault.open(row["caller"], "call", b"caller", row["key_id"]) == "+8613900000000"
    assert row["caller_hash"] == world.engine.vault.fingerprint("+8613900000000")
    again = await report(world, other)
    assert (again.status, again.minutes, again.cost) == (Status.DUPLICATE, 3, Decimal("0.06"))
    assert first.caller == CALLER


async def test_what_was_replaced_is_kept_whole(world: World) -> None:
    first, _ = await conflict(world)
    await decide(world, Decision.ACCEPT)
    kept = await only(world, ReviewState.REPLACED)
    assert (kept.call_id, kept.reason, kept.decided_by) == ("call", "as agreed", "ann")
    assert "2 minutes, 0.04 CNY" in kept.detail
    row = await world.owner.fetchrow("SELECT record, key_id FROM call_reviews WHERE state = 'replaced'")
    text = world.engine.vault.open(row["record"], kept.review_id, b"record", row["key_id"])
    whole = msgspec.json.decode(text, type=CallRecord)
    assert whole == msgspec.structs.replace(
        first, caller="+86" + CALLER, binding_id=whole.binding_id, extension=first.extension
    )
    assert await refused(world, Decision.ACCEPT, kept.review_id) is Code.REVIEW_DECIDED


async def test_a_decision_is_undone_by_the_record_that_it_put_aside(world: World) -> None:
    """Sent again it is a conflict of its own, and so is the accepted one after that: nothing is ever out of sight."""
    first, other = await conflict(world)
    await decide(world, Decision.ACCEPT)
    assert (await report(world, first)).status is Status.CONFLICT
    await decide(world, Decision.ACCEPT)
    assert (await charged(world))["minutes"] == 2
    assert (await report(world, other)).status is Status.CONFLICT
    assert (await only(world)).status is Status.CONFLICT
    await decide(world, Decision.ACCEPT)
    assert (await charged(world))["minutes"] == 3
    assert len(await reviews(world, ReviewState.REPLACED)) == 3


async def test_an_accepted_record_is_priced_at_its_own_answer(world: World) -> None:
    """It moves into the month before, and to the tariff of then."""
    await world.owner.execute(
        "INSERT INTO tariffs (tariff_id, version, effective_from, rental_day, call_minute) "
        "VALUES ('default', 2, '2026-10-20', 0, 0.05)"
    )
    binding = await world.bind("a")
    world.pass_time(datetime(2026, 11, 2, tzinfo=UTC) - world.now)
    await world.engine.care.tend()
    first = record(world, binding)
    assert (await report(world, first)).cost == Decimal("0.10")
    back = timedelta(days=15)
    other = msgspec.structs.replace(
        first, **{name: getattr(first, name) - back for name in ("call_time", "answer_time", "release_time")}
    )
    assert (await report(world, other)).status is Status.CONFLICT
    assert (await decide(world, Decision.ACCEPT)).cost == Decimal("0.04")
    row = await charged(world)
    assert (row["biz_at"], row["tariff_version"], row["late"]) == (other.answer_time, 1, False)
    await world.engine.invoices.close("2026-10")
    bill = await world.owner.fetchrow("SELECT sum(quantity)::int AS minutes FROM invoice_lines WHERE item = 1")
    assert bill["minutes"] == 2


@pytest.mark.parametrize("closed", ["of the charged call", "of the record"])
async def test_nothing_is_accepted_into_or_out_of_a_closed_month(world: World, closed: str) -> None:
    binding = await world.bind("a")
    world.pass_time(MONTH_END + 2 * DAY - world.now)
    call = record(world, binding)
    in_october = {
        name: getattr(call, name) - timedelta(days=5) for name in ("call_time", "answer_time", "release_time")
    }
    pair = [call, msgspec.structs.replace(call, **in_october)]
    first, other = pair[::-1] if closed == "of the charged call" else pair
    await report(world, first)
    await report(world, other)
    before = dict(await charged(world))
    await world.engine.invoices.close("2026-10")
    assert await refused(world, Decision.ACCEPT) is Code.PERIOD_CLOSED
    assert dict(await charged(world)) == before
    assert (await only(world)).state is ReviewState.OPEN
    assert await reviews(world, ReviewState.REPLACED) == []
    assert (await report(world, first)).status is Status.DUPLICATE
    assert (await decide(world, Decision.DISCARD)).state is ReviewState.DISCARDED


async def test_a_record_of_another_binding_is_another_call(world: World) -> None:
    binding, other = await lent(world), await world.bind("b", 2)
    first = record(world, binding)
    await report(world, first)
    world.pass_time(timedelta(hours=1))
    await report(world, record(world, other, binding_id=other.binding_id))
    assert await refused(world, Decision.ACCEPT) is Code.BINDING_MISMATCH
    assert (await charged(world))["order_id"] == "a"


async def test_a_record_that_can_not_be_rated_is_not_accepted(world: World) -> None:
    binding = await lent(world)
    first = record(world, binding)
    await report(world, first)
    wrong = msgspec.structs.replace(first, binding_id=unknown_id(binding))
    kept = NotTaken(
        call_id="call",
        status=Status.CONFLICT,
        code=Code.RECORD_CONFLICT,
        detail="",
        text=msgspec.json.encode(wrong).decode(),
    )
    await world.engine.keeper.keep([kept])
    assert await refused(world, Decision.ACCEPT) is Code.NO_BINDING
    same = msgspec.structs.replace(kept, text=msgspec.json.encode(first).decode())
    world.pass_time(SECOND)
    await world.engine.keeper.keep([same])
    assert await refused(world, Decision.ACCEPT, (await reviews(world))[-1].review_id) is Code.DECISION_MISMATCH
    assert await world.count("call_reviews WHERE state = 'open'") == 2


# What is no decision


@pytest.mark.parametrize("first", list(Decision))
@pytest.mark.parametrize("second", list(Decision))
async def test_a_review_is_decided_once(world: World, first: Decision, second: Decision) -> None:
    binding = await lent(world)
    if first is Decision.RETRY:
        await report(world, record(world, binding, release_time=world.now + timedelta(hours=8)))
        world.pass_time(timedelta(hours=9))
    else:
        call = record(world, binding)
        await report(world, call)
        await report(world, msgspec.structs.replace(call, answer_time=None))
    review_id = (await only(world)).review_id
    await decide(world, first, review_id)
    rows = await world.owner.fetch("SELECT * FROM call_reviews ORDER BY review_id")
    assert await refused(world, second, review_id) is Code.REVIEW_DECIDED
    assert await world.owner.fetch("SELECT * FROM call_reviews ORDER BY review_id") == rows


async def test_what_is_no_review(world: World) -> None:
    await conflict(world)
    assert await refused(world, Decision.RETRY) is Code.DECISION_MISMATCH
    known = (await only(world)).review_id
    for review_id in (UUID(int=known.int ^ 1), UUID(int=0), UUID(int=2**128 - 1)):
        assert await refused(world, Decision.DISCARD, review_id) is Code.REVIEW_NOT_FOUND


@pytest.mark.parametrize(
    "reason",
    ["he rang 13800000000", "138 0000 0000", "１３８００００００００", "+86-138-0000-0000", "call 021-12345678"],
)
async def test_a_reason_has_no_phone_in_it(world: World, reason: str) -> None:
    await conflict(world)
    review = await only(world)
    with pytest.raises(Refused) as error:
        await world.engine.decider.decide(review.review_id, Decision.DISCARD, reason=reason, by="ann")
    assert the(error).code is Code.INVALID_REQUEST
    assert (await only(world)).state is ReviewState.OPEN


async def test_a_call_is_found_by_its_id_whatever_cells_it_lies_in(bare_world: World) -> None:
    """The id's own cell and the host's differ."""
    cells = 4
    world = on_pool(bare_world, bare_world.engine.pool, cells=cells)
    await world.merchant()
    for n in range(cells):
        await world.host(str(int(HOST) + n))
    for n in range(cells):
        binding = await world.bind(f"o{n}", n)
        first = record(world, binding, call_id=f"c{n}", host=binding.host, call_time=world.now)
        first = msgspec.structs.replace(first, answer_time=world.now, release_time=world.now + 61 * SECOND)
        await report(world, first)
        await report(world, msgspec.structs.replace(first, release_time=world.now + 121 * SECOND))
        review = await only(world)
        assert review.charged is not None
        assert (review.charged.order_id, review.charged.minutes) == (f"o{n}", 2)
        assert (await decide(world, Decision.ACCEPT)).minutes == 3
        assert await world.engine.calls.owner(f"c{n}") == "m"
        assert (await only_replaced(world, f"c{n}")).charged.minutes == 3  # type: ignore[union-attr]
    assert await world.count("calls WHERE minutes = 3") == cells


async def only_replaced(world: World, call_id: str) -> Review:
    (review,) = [one for one in await reviews(world, ReviewState.REPLACED) if one.call_id == call_id]
    return review
