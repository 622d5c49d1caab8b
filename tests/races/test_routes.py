"""Routes on several workers at once: no more calls than a cap allows, and a no that every worker obeys at once."""

import asyncio
from collections import Counter

import pytest

from tests.engines import World, host_number, phone
from tests.service.test_route_policy import policy
from vnum.model.refusals import Code
from vnum.service.marks import Mark, NewMark
from vnum.service.opt_outs import OptIn, OptOut, Scope


@pytest.mark.parametrize("most", [1, 3])
async def test_calls_of_the_same_moment_do_not_pass_a_cap_together(workers: list[World], most: int) -> None:
    home = workers[0]
    await home.host(host_number(1), ext_digits=2)
    await policy(home, calls_per_hour=most)
    first, second = await home.bind("a", 1), await home.bind("b", 1)
    decisions = await asyncio.gather(
        *(
            worker.dial((first, second)[n % 2], caller=f"137000000{n:02}", call_id=f"c{n}-{at}")
            for n in range(8)
            for at, worker in enumerate(workers)
        )
    )
    assert Counter(decision.code for decision in decisions) == {None: most, Code.CALLS_CAPPED: 32 - most}
    assert await home.count("call_keys WHERE binding_id IS NOT NULL") == most
    told = await home.owner.fetchval("SELECT sum(cardinality(subjects)) FROM audit_entries WHERE did = 'number.read'")
    assert told == most, "nobody was told a number that he may not ring"


@pytest.mark.parametrize("scope", list(Scope))
async def test_the_very_next_route_on_any_worker_obeys(workers: list[World], scope: Scope) -> None:
    home = workers[0]
    await home.host(host_number(1), ext_digits=2)
    binding = await home.bind("a", 1)
    for n, (speaker, listener) in enumerate(zip(workers, [*workers[1:], home], strict=True)):
        assert (await listener.dial(binding, call_id=f"before {n}")).callee
        await speaker.engine.opt_outs.say(OptOut(phone=phone(1), scope=scope))
        for at, worker in enumerate(workers):
            decision = await worker.dial(binding, caller=f"1370000000{at}", call_id=f"after {n} {at}")
            assert decision.code is Code.RECIPIENT_OPTED_OUT
        await listener.engine.opt_outs.withdraw(OptIn(phone=phone(1), scope=scope))  # type: ignore[arg-type]
        assert (await speaker.dial(binding, call_id=f"again {n}")).callee


async def test_an_opt_out_said_by_many_at_once_is_one(workers: list[World]) -> None:
    said = await asyncio.gather(*(worker.engine.opt_outs.say(OptOut(phone=phone(1))) for worker in workers * 5))
    assert len(set(said)) == 1
    assert await workers[0].count("opt_outs") == 1
    assert await workers[0].count("audit_entries WHERE did = 'opt_out.said'") == 1


async def test_complaints_of_the_same_moment_are_counted_together(workers: list[World]) -> None:
    home = workers[0]
    await home.host(host_number(1), ext_digits=2)
    binding = await home.bind("a", 1)
    for n in range(3):
        assert (await home.dial(binding, caller=f"1370000000{n}", call_id=f"c{n}")).callee
    marks = [NewMark(call_id=f"c{n}", mark=Mark.COMPLAINT, at=home.now) for n in range(3)]
    told = await asyncio.gather(*(worker.engine.marks.add(mark) for mark, worker in zip(marks, workers, strict=False)))
    assert [one.opted_out for one in told].count(True) == 1
    assert (await home.dial(binding, caller="13700000009", call_id="last")).code is Code.RECIPIENT_OPTED_OUT
