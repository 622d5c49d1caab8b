"""What callers hear: prompts from files, tones made here. PCM of 8,000 samples a second, 16 bits, one channel."""

import math
import struct
import wave
from importlib import resources
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger()

RATE: Final = 8_000
FRAME_S: Final = 0.02
FRAME: Final = int(RATE * FRAME_S) * 2
"""Bytes of 20 ms."""

SILENCE: Final = bytes(FRAME)
PROMPTS: Final = (
    "welcome", "extension", "wrong_extension", "number_expired", "not_available", "mark", "marked", "tone", "ringback",
)  # fmt: skip

_LOUDNESS: Final = 6_000
_STAND_INS: Final[dict[str, tuple[tuple[int, float], ...]]] = {
    "welcome": ((660, 0.3), (0, 0.1)),
    "extension": ((880, 0.3), (0, 0.1)),
    "wrong_extension": ((400, 0.25), (0, 0.1), (400, 0.25), (0, 0.1)),
    "number_expired": ((950, 0.3), (1400, 0.3), (1800, 0.3)),
    "not_available": ((450, 0.35), (0, 0.35), (450, 0.35), (0, 0.35)),
    "mark": ((880, 0.3), (0, 0.1), (660, 0.3), (0, 0.1)),
    "marked": ((660, 0.2), (880, 0.2)),
    "tone": ((1400, 0.4),),
    "ringback": ((450, 1.0), (0, 4.0)),
}
"""(hertz, seconds): tones for prompts whose file is missing or is not of the one format."""


def tone(hertz: int, seconds: float) -> bytes:
    """A sine, or silence for 0 hertz, in whole frames."""
    count = round(seconds / FRAME_S) * FRAME // 2
    step = 2 * math.pi * hertz / RATE
    return struct.pack(f"={count}h", *(int(_LOUDNESS * math.sin(step * place)) for place in range(count)))


def load_prompts(folder: Path | None = None) -> dict[str, bytes]:
    """Every prompt by its name: the one in `folder`, else ours; a tone where neither can be used."""
    ours = Path(str(resources.files("vnum.voice"))) / "prompts"
    sources = [ours] if folder is None else [folder, ours]
    return {
        name: next((pcm for source in sources if (pcm := _read(source / f"{name}.wav"))), None) or _stand_in(name)
        for name in PROMPTS
    }


def _stand_in(name: str) -> bytes:
    return b"".join(tone(hertz, seconds) for hertz, seconds in _STAND_INS[name])


def _read(file: Path) -> bytes | None:
    try:
        with wave.open(str(file), "rb") as opened:
            if (opened.getframerate(), opened.getsampwidth(), opened.getnchannels()) != (RATE, 2, 1):
                log.warning("prompt_of_another_format", file=file.name)
                return None
            pcm = opened.readframes(opened.getnframes())
    except FileNotFoundError:
        return None
    except (OSError, EOFError, wave.Error) as trouble:
        log.warning("prompt_unreadable", file=file.name, trouble=type(trouble).__name__)
        return None
    return pcm + bytes(-len(pcm) % FRAME)
