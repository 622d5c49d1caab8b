"""Has jobs carried out by a process that typesets, and waits for it."""

import asyncio
import os
import subprocess
import sys
from typing import Final

import msgspec

from billing.errors import StatementFailed
from billing.export.jobs import Job

_SAID_CHARS: Final = 300


async def carry_out(job: Job) -> None:
    """Raises StatementFailed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "billing.export.typesetting",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        _, said = await process.communicate(msgspec.json.encode(job))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        last = said.decode(errors="replace").strip().rpartition("\n")[2][:_SAID_CHARS]
        raise StatementFailed(f"the typesetter ended with {process.returncode}: {last}")
