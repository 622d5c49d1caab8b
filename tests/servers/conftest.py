"""Servers of a test's own, in this process or in another one."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent
OPENER = HERE / "opener.py"
REPOSITORY = HERE.parent.parent
WAIT_S = 60.0

# Durable like the product, but small.
OWN_SETTINGS = {"shared_buffers": "32MB"}


@dataclass(slots=True, kw_only=True)
class Opener:
    """Another process that opens the servers of a data folder and tells about them. It ends with `close`."""

    process: "subprocess.Popen[str]"
    report: dict[str, str] = field(default_factory=dict)

    def read(self) -> dict[str, str]:
        """What it found, or the ServerTrouble that it met. Blocks until it has opened them."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the opener died"
        self.report = json.loads(line)
        return self.report

    def server_pids(self) -> list[int]:
        return [int(self.report["postgres_pid"]), int(self.report["valkey_pid"])]

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(WAIT_S)


def environment() -> dict[str, str]:
    """Ours, and all that another interpreter needs to find our packages."""
    paths = (REPOSITORY, sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), HERE / "older_python")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def start_opener() -> Iterator[Callable[..., Opener]]:
    """Starts openers; those that still run are closed after the test."""
    openers: list[Opener] = []

    def start(data_dir: Path, *, python: str = sys.executable, user: int | None = None, **options: object) -> Opener:
        process = subprocess.Popen(
            [python, str(OPENER), str(data_dir), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env=environment(),
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        openers.append(Opener(process=process))
        return openers[-1]

    yield start
    for opener in openers:
        if opener.process.poll() is None:
            opener.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """An empty folder that every user may enter, unlike those of `tmp_path`."""
    folder = Path(tempfile.mkdtemp(prefix="vnum-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def is_alive(pid: int) -> bool:
    """False for a process that is gone or waits to be buried, which the first process of a container may never do."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
