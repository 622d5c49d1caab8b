"""Disputes, told as stories: opened, answered, opened again; never deleted, and never a change of money."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from billing.disputes import (
    Dispute,
    DisputeState,
    dispute_states,
    list_disputes,
    open_dispute,
    resolve_dispute,
)
from billing.errors import BillingRefusal
from billing.invoice import Item
from billing.notes.issue import FreeLine

OPEN, UPHELD, REJECTED = DisputeState.OPEN, DisputeState.UPHELD, DisputeState.REJECTED


async def opened(world: Any, call: str = "c1", merchant: str = "m", at: str = "2026-10-05 10:00") -> Dispute:
    async with world.pool.acquire() as connection:
        return await open_dispute(
            connection, merchant_id=merchant, call_id=call, reason="never answered", author="shop", now=world.at(at)
        )


async def a_note(world: Any, merchant: str, month: str = "2026-10") -> str:
    """The number of a credit note of a merchant that has a call in a month."""
    await world.account(merchant, opened=f"{month}-01 00:00")
    await world.call(merchant, f"{month}-05 10:00", f"{month}-05 10:01")
    await world.close(month, merchant_id=merchant)
    (invoice,) = [one for one in await world.invoices(month) if one.buyer.merchant_id == merchant]
    line = FreeLine(item=Item.CALL, amount=Decimal("-0.01"), text="as agreed")
    return str((await world.note(invoice.number, line)).number)


async def resolved(world: Any, dispute: Dispute | int, outcome: DisputeState = UPHELD, **more: Any) -> Dispute:
    number = dispute if isinstance(dispute, int) else dispute.dispute_id
    async with world.pool.acquire() as connection:
        return await resolve_dispute(
            connection,
            number,
            outcome=outcome,
            reason="the switch was wrong",
            author="finance",
            now=world.at("2026-10-09 10:00"),
            **more,
        )


async def code(acting: Any) -> str:
    with pytest.raises(BillingRefusal) as error:
        await acting
    return error.value.code


async def listed(world: Any, **options: Any) -> list[Dispute]:
    async with world.pool.acquire() as connection:
        return await list_disputes(connection, **options)


async def test_a_dispute_is_opened_and_answered(world: Any) -> None:
    first = await opened(world)
    assert (first.state, first.reason, first.author, first.opened_at) == (
        OPEN, "never answered", "shop", world.at("2026-10-05 10:00"),
    )  # fmt: skip
    assert (first.resolution, first.resolved_by, first.resolved_at, first.note_number) == (None, None, None, None)
    note = await a_note(world, "m")
    answer = await resolved(world, first, note_number=note)
    assert (answer.state, answer.resolution, answer.resolved_by, answer.resolved_at, answer.note_number) == (
        UPHELD, "the switch was wrong", "finance", world.at("2026-10-09 10:00"), note,
    )  # fmt: skip
    assert (answer.reason, answer.author, answer.opened_at) == (first.reason, first.author, first.opened_at)
    assert await listed(world) == [answer]


async def test_a_call_has_one_open_dispute(world: Any) -> None:
    first = await opened(world)
    assert await code(opened(world)) == "dispute_open"
    other = await opened(world, merchant="m2")
    await resolved(world, first, REJECTED)
    again = await opened(world)
    assert again.dispute_id > other.dispute_id > first.dispute_id
    assert [one.state for one in await listed(world, merchant_ids=["m"])] == [REJECTED, OPEN]


@pytest.mark.parametrize(
    ("outcome", "note", "expected"),
    [
        (OPEN, None, "dispute_invalid"),
        (REJECTED, "VNUM-NOTE-2026-000001", "dispute_invalid"),
        (UPHELD, "VNUM-NOTE-2026-000001", "note_not_found"),
        (UPHELD, "", "note_not_found"),
    ],
)
async def test_what_is_no_answer(world: Any, outcome: DisputeState, note: str | None, expected: str) -> None:
    first = await opened(world)
    assert await code(resolved(world, first, outcome, note_number=note)) == expected
    assert (await listed(world))[0].state is OPEN


async def test_the_note_is_one_of_the_same_merchant(world: Any) -> None:
    other, own = await a_note(world, "m2"), await a_note(world, "m", "2026-09")
    first = await opened(world)
    assert await code(resolved(world, first, note_number=other)) == "note_not_found"
    assert (await listed(world))[0].state is OPEN
    assert (await resolved(world, first, note_number=own)).note_number == own
    assert await code(resolved(world, 999, note_number=own)) == "dispute_not_found"
    assert await code(resolved(world, first, note_number=own)) == "dispute_resolved"


async def test_a_dispute_is_answered_once(world: Any) -> None:
    first = await opened(world)
    answer = await resolved(world, first)
    assert await code(resolved(world, first, REJECTED)) == "dispute_resolved"
    assert await code(resolved(world, 999)) == "dispute_not_found"
    assert await listed(world) == [answer]


async def test_of_two_at_once_one_counts(world: Any) -> None:
    told = await asyncio.gather(*(opened(world) for _ in range(4)), return_exceptions=True)
    assert sorted(getattr(one, "code", "") for one in told) == ["", *["dispute_open"] * 3]
    (first,) = await listed(world)
    told = await asyncio.gather(
        *(resolved(world, first, outcome) for outcome in (UPHELD, REJECTED)), return_exceptions=True
    )
    assert sorted(getattr(one, "code", "") for one in told) == ["", "dispute_resolved"]


async def test_they_are_listed_by_merchant_and_state_in_pages(world: Any) -> None:
    made = [await opened(world, f"c{n}", f"m{n % 2}") for n in range(5)]
    ids = [one.dispute_id for one in made]
    await resolved(world, made[0])
    assert [one.dispute_id for one in await listed(world, limit=2)] == ids[:2]
    assert [one.dispute_id for one in await listed(world, limit=2, after=ids[1])] == ids[2:4]
    assert [one.dispute_id for one in await listed(world, merchant_ids=["m0"])] == ids[::2]
    assert [one.dispute_id for one in await listed(world, merchant_ids=["m0"], state=OPEN)] == ids[2::2]
    assert [one.dispute_id for one in await listed(world, state=UPHELD)] == ids[:1]
    assert await listed(world, merchant_ids=[]) == []


async def test_the_last_dispute_of_a_call_is_its_state(world: Any) -> None:
    await resolved(world, await opened(world, "c1"), REJECTED)
    await resolved(world, await opened(world, "c2"))
    await opened(world, "c2")
    await opened(world, "c3", "m2")
    async with world.pool.acquire() as connection:
        assert await dispute_states(connection, "m", ["c1", "c2", "c3", "c4"]) == {"c1": REJECTED, "c2": OPEN}


async def test_a_disputed_call_is_billed_like_any_other(world: Any) -> None:
    """The month may be open or closed; a dispute that is upheld changes no invoice either."""
    await world.account("m", opened="2026-10-01 00:00")
    await world.call("m", "2026-10-05 10:00", "2026-10-05 10:01", "c1")
    await opened(world, "c1")
    await world.close("2026-10")
    before = await world.dues()
    assert before == {"m 2026-10": ("0.02", "0.02", "0")}
    await resolved(world, (await listed(world))[0])
    await opened(world, "c1")
    assert await world.dues() == before


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM disputes",
        "TRUNCATE disputes",
        "UPDATE disputes SET reason = 'x'",
        "UPDATE disputes SET call_id = 'x'",
        "UPDATE disputes SET merchant_id = 'x'",
        "UPDATE disputes SET author = 'x'",
        "UPDATE disputes SET opened_at = '2020-01-01'",
        "INSERT INTO disputes (merchant_id, call_id, reason, author, opened_at, outcome, resolution, resolved_by, "
        "resolved_at) VALUES ('m', 'c', 'r', 'a', '2026-01-01', 'upheld', 'r', 'a', '2026-01-01')",
    ],
)
async def test_what_was_said_stays(world: Any, connect: Callable[..., Any], statement: str) -> None:
    await opened(world)
    app = await connect()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute(statement)


@pytest.mark.parametrize(
    "change",
    ["outcome = 'upheld'", "outcome = 'open'", "note_number = 'n'", "resolution = 'r', resolved_by = 'a'"],
)
async def test_half_an_answer_can_not_be_stored(world: Any, change: str) -> None:
    await opened(world)
    with pytest.raises(asyncpg.CheckViolationError):
        await world.owner.execute(f"UPDATE disputes SET {change}")
