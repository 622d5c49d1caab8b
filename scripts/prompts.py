"""Makes the audio files of the embedded switch: `vnum/voice/prompts/<name>.wav`, 8 kHz, mono, 16 bits.

For whoever changes a text: `pip install '.[prompts]'`, edit TEXTS, run this file, commit what it wrote. The same texts
give the same bytes. eSpeak NG speaks: a synthesiser by rules (GPL-3.0-or-later, needed here only and shipped nowhere;
what it speaks is not a work of its authors). Recordings of a person sound better: docs/voice.md says how to use them.
"""

import argparse
import ctypes
import math
import wave
from array import array
from collections.abc import Iterator, Sequence
from operator import mul
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "vnum" / "voice" / "prompts"

CHINESE = "cmn"
ENGLISH = "en-us"

# What each prompt says, Chinese then English. `wrong_extension` and `not_available` must not tell of a number whether
# it lives (docs/decisions/0028-every-no-is-the-same.md).
TEXTS = {
    "welcome": ("您好，这里是虚拟号码。", "Hello. This is a virtual number."),
    "extension": ("请输入分机号。", "Please enter the extension."),
    "wrong_extension": ("无法接通，请核对分机号。", "Not reachable. Please check the extension."),
    "number_expired": ("号码已失效，请看最新面单。", "Number expired. See the new label."),
    "not_available": ("暂时无法接通，请稍后再拨。", "Not available. Please call later."),
    "mark": ("拒接此类来电按1，包裹不是您的按2。", "Press 1 to refuse such calls, 2 if the parcel is not yours."),
    "marked": ("已记录。", "Noted."),
}

RATE_HZ = 8000
WORDS_A_MINUTE = {CHINESE: 230, ENGLISH: 190}
BAND_HZ = (200.0, 3400.0)  # what a telephone carries
SPEECH_DBFS = -20.0  # of what is not silence
PEAK_DBFS = -3.0
QUIET_DBFS = -45.0  # below: silence
EDGE_S = 0.04  # of silence at either end
PAUSE_S = 0.16  # between the languages, and the longest within one
FRAME = RATE_HZ // 50

# (Hz or 0 for silence, seconds). `tone` is heard over the voices before a call is cut at its limit, `ringback` again
# and again while a phone rings, as in China: 450 Hz, 1 s in 5.
TONES = {
    "tone": [(1400, 0.2), (0, 0.1), (1400, 0.2), (0, 0.1), (1400, 0.2)],
    "ringback": [(450, 1.0), (0, 4.0)],
}
TONE_DBFS = -18.0

Samples = list[float]  # -1 to 1


class Speaker:
    """eSpeak NG by its C functions (speak_lib.h). Its noise goes on from text to text: say all, in the same order."""

    _RETRIEVAL = 1  # samples come back, nothing is played
    _SPEED = 1
    _UTF8 = 1

    def __init__(self) -> None:
        import espeakng_loader  # the texts can be read without it

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._heard = array("h")
        sink = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._sink = sink(self._hear)  # kept: the library calls it later
        data = espeakng_loader.get_data_path().encode()
        self.rate_hz: int = self._library.espeak_Initialize(self._RETRIEVAL, 0, data, 0)
        if self.rate_hz <= 0:
            raise SystemExit("eSpeak NG does not start: is espeakng-loader whole?")
        self._library.espeak_SetSynthCallback(self._sink)

    def say(self, voice: str, text: str) -> Samples:
        """At `rate_hz`."""
        self._heard = array("h")
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise SystemExit(f"eSpeak NG has no voice {voice}")
        self._library.espeak_SetParameter(self._SPEED, WORDS_A_MINUTE[voice], 0)
        said = text.encode()
        self._library.espeak_Synth(said, len(said) + 1, 0, 1, 0, self._UTF8, None, None)
        self._library.espeak_Synchronize()
        return [sample / 32768 for sample in self._heard]

    def _hear(self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, _events: object) -> int:
        if samples and count > 0:
            self._heard.extend(samples[:count])
        return 0


def telephone(samples: Sequence[float], rate_hz: int) -> Samples:
    """At RATE_HZ, with nothing above the telephone's band (which would fold into it) and nothing below."""
    width = 12 * rate_hz // RATE_HZ
    low, high = (edge / rate_hz for edge in BAND_HZ)
    taps = [_band(k, low, high) * (0.54 + 0.46 * math.cos(math.pi * k / width)) for k in range(-width, width + 1)]
    padded = [0.0] * width + list(samples) + [0.0] * width
    at = (round(n * rate_hz / RATE_HZ) for n in range(len(samples) * RATE_HZ // rate_hz))
    return [sum(map(mul, taps, padded[k : k + len(taps)])) for k in at]


def _band(k: int, low: float, high: float) -> float:
    """Tap k of a filter that lets through low to high, in parts of the sampling rate."""
    if k == 0:
        return 2 * (high - low)
    return (math.sin(2 * math.pi * high * k) - math.sin(2 * math.pi * low * k)) / (math.pi * k)


def trimmed(samples: Samples) -> Samples:
    """Without silence at the ends, and with no pause inside longer than PAUSE_S."""
    kept: Samples = []
    quiet: Samples = []
    longest = round(PAUSE_S * RATE_HZ)
    for n, level in enumerate(levels(samples)):
        frame = samples[n * FRAME : (n + 1) * FRAME]
        if level <= QUIET_DBFS:
            quiet += frame
            continue
        kept += (quiet[: longest // 2] + quiet[-longest // 2 :] if len(quiet) > longest else quiet) if kept else []
        kept += frame
        quiet = []
    edge = [0.0] * round(EDGE_S * RATE_HZ)
    return edge + kept + edge


def levels(samples: Sequence[float]) -> Iterator[float]:
    """dBFS of each 20 ms."""
    for start in range(0, len(samples) - FRAME + 1, FRAME):
        yield decibels(samples[start : start + FRAME])


def decibels(samples: Sequence[float]) -> float:
    return 10 * math.log10(sum(sample * sample for sample in samples) / len(samples) + 1e-12)


def normalised(samples: Samples) -> Samples:
    """What is not silence at SPEECH_DBFS; the few peaks beyond PEAK_DBFS are bent, not cut."""
    frames = [samples[n * FRAME : (n + 1) * FRAME] for n, level in enumerate(levels(samples)) if level > QUIET_DBFS]
    gain = 10 ** ((SPEECH_DBFS - decibels([sample for frame in frames for sample in frame])) / 20)
    most = 10 ** (PEAK_DBFS / 20)
    return [most * math.tanh(gain * sample / most) for sample in samples]


def spoken(speaker: Speaker, chinese: str, english: str) -> Samples:
    parts = []
    for voice, text in ((CHINESE, chinese), (ENGLISH, english)):
        parts.append(normalised(trimmed(telephone(speaker.say(voice, text), speaker.rate_hz))))
    return parts[0] + [0.0] * round(PAUSE_S * RATE_HZ) + parts[1]


def tones(steps: Sequence[tuple[int, float]]) -> Samples:
    """Sine tones with edges of 5 ms, so that they do not click."""
    peak, edge = math.sqrt(2) * 10 ** (TONE_DBFS / 20), RATE_HZ // 200
    samples: Samples = []
    for hertz, seconds in steps:
        count = round(seconds * RATE_HZ)
        samples += [
            peak * min(1.0, n / edge, (count - n) / edge) * math.sin(2 * math.pi * hertz * n / RATE_HZ)
            for n in range(count)
        ]
    return samples


def write(path: Path, samples: Samples) -> None:
    data = array("h", (round(32767 * sample) for sample in samples))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(data.tobytes())
    print(f"{path.name}: {len(samples) / RATE_HZ:.2f} s, {path.stat().st_size:,} bytes")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=FOLDER)
    folder: Path = options.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    speaker = Speaker()
    for name, texts in TEXTS.items():
        write(folder / f"{name}.wav", spoken(speaker, *texts))
    for name, steps in TONES.items():
        write(folder / f"{name}.wav", tones(steps))


if __name__ == "__main__":
    main()
