"""Work that goes on beside other work, in the name of nobody's request, until it is ended."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from vnum.model.acting import apart

AGAIN_S: Final = 5.0
"""Long enough for what a task does when it ends."""


@asynccontextmanager
async def beside(work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """`work` runs as long as the block."""
    task = asyncio.create_task(work(), context=apart())
    try:
        yield
    finally:
        await ended(task)


async def ended(task: "asyncio.Task[Any]") -> None:
    """Cancels it until it has ended; once is not enough.

    wait_for of Python 3.11, and libraries likewise, keep a cancellation to themselves when what they wait for comes in
    the same moment: work that goes round and round would go on, and whoever waits for its end would wait for ever.
    Raises nothing but a CancelledError of the caller's own.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=AGAIN_S)
    if not task.cancelled():
        task.exception()
