"""Where a file is made that cannot be streamed: a folder of its own and one thread, both gone at the end.

The event loop is free meanwhile, and memory is flat: a piece of work is taken on only when the one before is done, so
that at most one waits while another is under way.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

_PIECE_BYTES: Final = 256 * 1024

P = ParamSpec("P")
R = TypeVar("R")


class Scratch:
    """Work on files of one export, in order, off the event loop."""

    def __init__(self, folder: Path, thread: ThreadPoolExecutor) -> None:
        self.folder = folder
        self._thread = thread
        self._handed: Future[None] | None = None

    async def hand_over(self, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Has it done while the caller goes on; waits for what was handed over before, and raises what that raised."""
        await self.settle()
        self._handed = self._thread.submit(work, *args, **kwargs)

    async def settle(self) -> None:
        """Waits for what was handed over, and raises what it raised."""
        if self._handed:
            handed, self._handed = self._handed, None
            await asyncio.wrap_future(handed)

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Has it done after all that was handed over, and waits."""
        await self.settle()
        return await asyncio.wrap_future(self._thread.submit(work, *args, **kwargs))

    async def pieces(self, path: Path) -> AsyncGenerator[bytes, None]:
        """A file that was made, in pieces of 256 KiB."""
        file = await self.run(path.open, "rb")
        try:
            while piece := await self.run(file.read, _PIECE_BYTES):
                yield piece
        finally:
            file.close()


@asynccontextmanager
async def scratch() -> AsyncIterator[Scratch]:
    """Removes everything however it ends; work under way is waited for, elsewhere."""
    folder = Path(tempfile.mkdtemp(prefix="vnum-export-"))
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vnum-export")
    try:
        yield Scratch(folder, thread)
    finally:
        await asyncio.shield(asyncio.to_thread(_remove, folder, thread))


def _remove(folder: Path, thread: ThreadPoolExecutor) -> None:
    thread.shutdown(wait=True, cancel_futures=True)
    shutil.rmtree(folder, ignore_errors=True)
