"""What callers hear: every prompt is there, in the telephone's format, loud enough, with speech and no long silence."""

import importlib.util
import math
import wave
from array import array
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

import vnum
from vnum.service.route import Prompt

FOLDER = Path(vnum.__file__).parent / "voice" / "prompts"
SPOKEN = {str(prompt) for prompt in Prompt} | {"welcome", "not_available", "mark", "marked"}
SHORTEST_S, LONGEST_S = 1, {"mark": 7}
"""The caller pays for what he hears; what the recipient may key in takes a longer sentence."""

TONES = {"tone": 1400, "ringback": 450}
FRAME = 160
QUIET_DBFS = -45


def read(name: str) -> "array[int]":
    with wave.open(str(FOLDER / f"{name}.wav"), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        return array("h", file.readframes(file.getnframes()))


def dbfs(samples: Sequence[int]) -> float:
    return 10 * math.log10(sum(sample * sample for sample in samples) / len(samples) / 32768**2 + 1e-12)


def levels(samples: Sequence[int]) -> list[float]:
    return [dbfs(samples[start : start + FRAME]) for start in range(0, len(samples) - FRAME + 1, FRAME)]


def strength(samples: Sequence[int], hertz: int) -> float:
    """The part of the energy that is at one frequency, 0 to 1."""
    angles = [2 * math.pi * hertz * n / 8000 for n in range(len(samples))]
    along = sum(sample * math.cos(angle) for sample, angle in zip(samples, angles, strict=True))
    across = sum(sample * math.sin(angle) for sample, angle in zip(samples, angles, strict=True))
    return 2 * (along**2 + across**2) / len(samples) / sum(sample * sample for sample in samples)


def test_one_file_a_prompt_and_no_other() -> None:
    assert {path.stem for path in FOLDER.glob("*.wav")} == SPOKEN | set(TONES)
    assert sum(path.stat().st_size for path in FOLDER.glob("*.wav")) < 540_000


@pytest.mark.parametrize("name", sorted(SPOKEN))
def test_speech_is_short_loud_and_without_silence(name: str) -> None:
    samples = read(name)
    heard = levels(samples)
    loud = [level > QUIET_DBFS for level in heard]
    pauses = "".join(".#"[yes] for yes in loud).strip(".").split("#")

    assert SHORTEST_S <= len(samples) / 8000 <= LONGEST_S.get(name, 5)
    assert -24 <= 10 * math.log10(sum(10 ** (level / 10) for level in heard if level > QUIET_DBFS) / sum(loud)) <= -17
    assert max(map(abs, samples)) < 0.75 * 32768
    assert loud.index(True) <= 6
    assert loud[::-1].index(True) <= 6
    assert max(map(len, pauses)) <= 20  # 0.4 s
    assert sum(loud) >= 0.7 * len(loud)


@pytest.mark.parametrize("name", sorted(SPOKEN))
def test_speech_stands_out_of_a_telephones_band(name: str) -> None:
    """Speech changes: no tone holds most of it, and it goes up and down."""
    samples = read(name)
    heard = levels(samples)

    assert max(strength(samples, hertz) for hertz in range(200, 3400, 100)) < 0.1
    assert sum(abs(b - a) > 3 for a, b in pairwise(heard)) > 20


@pytest.mark.parametrize(("name", "hertz"), sorted(TONES.items()))
def test_tones_are_what_they_are_called(name: str, hertz: int) -> None:
    sounding = read(name)[: 8000 // 5]

    assert strength(sounding, hertz) > 0.9
    assert -20 < dbfs(sounding) < -16


def test_ringback_goes_on_as_in_china_when_played_again_and_again() -> None:
    samples = read("ringback")

    assert len(samples) == 5 * 8000
    assert max(map(abs, samples[8000:])) == 0


def test_the_voice_page_has_the_texts_of_the_script() -> None:
    root = Path(__file__).parents[2]
    spec = importlib.util.spec_from_file_location("prompts_script", root / "scripts" / "prompts.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    page = (root / "docs" / "voice.md").read_text()

    rows = [f"| `{name}` | {chinese} | {english} |" for name, (chinese, english) in script.TEXTS.items()]
    assert set(script.TEXTS) == SPOKEN
    assert set(script.TONES) == set(TONES)
    assert [row for row in rows if row not in page] == []
