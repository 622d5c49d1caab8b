"""Switches that are obtained for tests, into a folder that is kept."""

import os
import subprocess
import sys
from pathlib import Path

from tests.voice.switches import NotToBeHad

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vnum"
UNOBTAINED = 3


def obtained(name: str) -> Path:
    """The switch's starter. Raises NotToBeHad."""
    script = ROOT / "scripts" / "obtain_switch.py"
    done = subprocess.run([sys.executable, script, name, CACHE / name], capture_output=True, text=True)
    if done.returncode == UNOBTAINED:
        raise NotToBeHad(f"{name}: {done.stdout.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr
    return CACHE / name / name
