"""Work beside other work ends with it, also where something on the way keeps a cancellation to itself."""

import asyncio

import pytest

from vnum.model import beside as module
from vnum.model.acting import SYSTEM, Acting, act, acting
from vnum.model.beside import beside, ended


class Round:
    """Goes round and round; the first so many cancellations are lost."""

    def __init__(self, lost: int) -> None:
        self.lost = lost
        self.began, self.swallowed = asyncio.Event(), asyncio.Event()
        self.acted: Acting | None = None

    async def run(self) -> None:
        self.acted = acting()
        while True:
            self.began.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if not self.lost:
                    raise
                self.lost -= 1
                self.swallowed.set()


@pytest.mark.parametrize("lost", [0, 1, 3])
async def test_it_ends_however_many_cancellations_are_lost(lost: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    work = Round(lost)
    async with beside(work.run):
        await work.began.wait()
    assert work.lost == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_it_is_nobodys() -> None:
    act(Acting("key-1"))
    work = Round(0)
    async with beside(work.run):
        await work.began.wait()
    assert work.acted == SYSTEM


async def test_what_ended_by_itself_is_let_be() -> None:
    async def fails() -> None:
        raise ValueError

    task = asyncio.create_task(fails())
    await asyncio.wait({task})
    await ended(task)


async def test_who_waits_may_be_cancelled_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Round(1)
    task = asyncio.create_task(work.run())
    await work.began.wait()
    waiting = asyncio.create_task(ended(task))
    await work.swallowed.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    await ended(task)
