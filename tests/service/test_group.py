"""Group commit: what waits meanwhile shares one statement, and everybody gets his own answer."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.engines import the
from vnum.model.refusals import Code, Refused
from vnum.service.group import Group, Interrupted


class Line:
    """A run that stops at a gate, and remembers its batches."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.batches: list[list[int]] = []

    async def run(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        await self.gate.wait()
        if any(item < 0 for item in items):
            raise ValueError("a negative one")
        return [item * 10 for item in items]


async def turns() -> None:
    """Of the loop, as many as a few batches need to begin."""
    for _ in range(12):
        await asyncio.sleep(0)


@pytest.fixture
def line() -> Line:
    return Line()


async def test_everybody_gets_the_result_of_his_own_item(line: Line) -> None:
    group: Group[int, int] = Group(line.run, lanes=2, max_batch=7)
    line.gate.set()
    assert await asyncio.gather(*(group.submit(n) for n in range(100))) == [n * 10 for n in range(100)]


async def test_an_idle_line_starts_at_once_and_what_comes_meanwhile_goes_together(line: Line) -> None:
    group: Group[int, int] = Group(line.run, lanes=1, max_batch=4)
    futures = [group.submit(0)]
    await turns()
    futures += [group.submit(n) for n in range(1, 7)]
    line.gate.set()
    await asyncio.gather(*futures)
    assert line.batches == [[0], [1, 2, 3, 4], [5, 6]]


async def test_there_are_no_more_batches_at_once_than_lanes(line: Line) -> None:
    group: Group[int, int] = Group(line.run, lanes=3, max_batch=1)
    futures = [group.submit(n) for n in range(10)]
    await turns()
    assert line.batches == [[0], [1], [2]]
    line.gate.set()
    await asyncio.gather(*futures)


async def test_trouble_is_told_to_its_batch_and_the_next_one_runs(line: Line) -> None:
    group: Group[int, int] = Group(line.run, lanes=1, max_batch=2)
    line.gate.set()
    answers = await asyncio.gather(*(group.submit(n) for n in (1, -2, 3, 4)), return_exceptions=True)
    assert [type(answer) for answer in answers[:2]] == [ValueError, ValueError]
    assert answers[2:] == [30, 40]
    assert await group.submit(5) == 50


async def test_the_queue_is_bounded(line: Line) -> None:
    group: Group[int, int] = Group(line.run, lanes=1, max_batch=1, max_waiting=3)
    first = group.submit(0)
    await turns()
    others = [group.submit(n) for n in range(1, 4)]
    with pytest.raises(Refused) as error:
        group.submit(9)
    assert the(error).code is Code.OVERLOADED
    line.gate.set()
    assert await asyncio.gather(first, *others) == [0, 10, 20, 30]


async def test_who_goes_away_leaves_the_others_their_answers(line: Line) -> None:
    group: Group[int, int] = Group(line.run, lanes=1)
    futures = [group.submit(n) for n in range(3)]
    futures[1].cancel()
    line.gate.set()
    assert await asyncio.gather(futures[0], futures[2]) == [0, 20]


async def test_a_batch_cut_off_is_told_as_unknown(line: Line) -> None:
    group: Group[int, int] = Group(line.run, lanes=1)
    future = group.submit(1)
    await turns()
    for task in list(group._busy):
        task.cancel()
    with pytest.raises(Interrupted):
        await future
    line.gate.set()
    assert await group.submit(2) == 20, "the line works on"


async def test_a_crowd_shares_its_batches_and_whoever_is_left_waits_no_longer_than_its_patience(line: Line) -> None:
    group: Group[int, int] = Group(line.run, lanes=2, company=9)
    futures = [group.submit(0)]
    await turns()
    assert line.batches == [[0]], "alone: at once"
    futures += [group.submit(n) for n in range(1, 6)]  # six inside: a lane's share is three
    await turns()
    assert line.batches == [[0], [1, 2, 3, 4, 5]]
    line.gate.set()
    await asyncio.gather(*futures)
    futures = [group.submit(n) for n in (6, 7)]
    await turns()
    assert len(line.batches) == 2, "two are no company"
    await asyncio.gather(*futures)
    assert line.batches[2:] == [[6, 7]], "but need not wait for a third"


async def test_a_crowd_is_forgotten(line: Line) -> None:
    group: Group[int, int] = Group(line.run, lanes=1, company=9)
    line.gate.set()
    await asyncio.gather(*(group.submit(n) for n in range(9)))
    for n in range(20):
        await group.submit(n)
    alone = group.submit(20)
    await turns()
    assert alone.done()


async def test_whose_request_is_read_in_the_same_turn_comes_along(line: Line) -> None:
    group: Group[int, int] = Group(line.run, lanes=2, company=9)
    line.gate.set()

    async def caller(n: int) -> int:
        return await group.submit(n)

    assert await asyncio.gather(*(caller(n) for n in range(5))) == [0, 10, 20, 30, 40]
    assert line.batches == [[0, 1, 2, 3, 4]]
