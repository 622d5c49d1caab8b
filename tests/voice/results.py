"""What the suite found, as a file: `VOICE_RESULTS=voice.json pytest tests/voice` (docs/voice.md shows it)."""

import json
import os
from pathlib import Path
from statistics import mean


class Results:
    """Of one switch."""

    def __init__(self, switch: str) -> None:
        self._switch = switch
        self._cases: dict[str, str] = {}

    def note(self, case: str, result: str) -> None:
        self._cases[case] = result

    def write(self, *, calls: int, cpu_s: float, differences: list[float], exact: list[float]) -> None:
        """Beside what is in the file of other switches; nowhere if no file is named."""
        if not (name := os.environ.get("VOICE_RESULTS")):
            return
        file = Path(name)
        found = json.loads(file.read_text()) if file.exists() else {}
        found[self._switch] = {
            "cases": self._cases,
            "passed": sum(result == "passed" for result in self._cases.values()),
            "calls": calls,
            "cpu_s": round(cpu_s, 2),
            "talk_difference_s": _spread(differences),
            "until_first_bye_s": _spread(exact),
        }
        file.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def _spread(differences: list[float]) -> dict[str, float] | None:
    off = [abs(difference) for difference in differences]
    return {"mean": round(mean(off), 4), "most": round(max(off), 4)} if off else None
