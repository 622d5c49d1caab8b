"""The newcomer's path: what the page says is pasted into a shell, word for word, and does what the page says."""

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from .conftest import OpenWorld, Servers, World

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/quickstart.md").read_text()
STEP = re.compile(r"```sh\n(.*?)```\n(?:\n```json\n(.*?)```)?", re.DOTALL)
MARK = "--- next ---"


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="needs curl and bash")
async def test_the_page_does_what_it_says(open_world: OpenWorld, endpoints: Servers, tmp_path: Path) -> None:
    steps = STEP.findall(PAGE)
    script = "".join(f"{commands}echo; echo '{MARK}'\n" for commands, _ in steps)
    async with open_world(clock=None) as world:
        printed = await pasted(script, await settings(world, endpoints, tmp_path), tmp_path)
    answers = [part.strip() for part in printed.split(MARK)][: len(steps)]
    for (commands, shown), answer in zip(steps, answers, strict=True):
        assert masked(answer) == masked(shown.strip()), commands


async def settings(world: World, endpoints: Servers, folder: Path) -> dict[str, str]:
    """What the command line has to know of the session's servers."""
    return {
        "API": world.url,
        "VNUM_POSTGRES_DSN": endpoints.postgres_dsn,
        "VNUM_POSTGRES_ADMIN_DSN": endpoints.postgres_admin_dsn,
        "VNUM_REDIS_URL": endpoints.redis_url,
        "VNUM_MASTER_KEY_FILE": str(folder / "master.key"),
        "VNUM_SCHEMA": await world.owner.fetchval("SELECT current_schema()"),
    }


async def pasted(script: str, more: dict[str, str], folder: Path, within_s: float = 120) -> str:
    """What a shell prints, in a folder where the command line is where `make` puts it."""
    command = folder / ".venv/bin/vnum"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m vnum.cli "$@"\n')
    command.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VNUM_")}
    shell = await asyncio.create_subprocess_exec(
        "bash",
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), "no_proxy": "*", **more},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(within_s):
        printed, troubles = await shell.communicate(script.encode())
    assert troubles == b"", troubles.decode()
    return printed.decode()


def masked(text: str) -> str:
    """Without ids, instants, tokens and the extension, which differ from run to run."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "INSTANT", text)
    text = re.sub(r"rt_[\w-]+", "TOKEN", text)
    return re.sub(r'("extension":"|18400913965-)\d{4}', r"\1EXT", text)
