"""The program that takes orders to Asterisk, without Asterisk: call files, states, and when it takes none."""

from pathlib import Path
from typing import Any

import pytest

from tests.voice.deployed import DEPLOYED, program

DIAL = {
    "call_id": "dial-1",
    "agent": "+8613700000001",
    "host": "18400913965",
    "extension": "7576",
    "display_number": "18400913965",
    "max_ring_seconds": 30,
}


DIALS = program("asterisk/vnum_dials.py")


class Enough(Exception):
    """It would go on for ever."""


class Vnum:
    """Gives the same orders out again and again (or fails, where an answer is an error), and hears states."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.told: list[tuple[str, str]] = []

    def asked(self, _settings: Any, path: str, body: Any, _longer_s: float) -> Any:
        if path == "/v1/calls/states":
            self.told += [(item["call_id"], item["state"]) for item in body["items"]]
            return {}
        if not self.answers:
            raise Enough
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"dials": answer}


@pytest.fixture
def settings(tmp_path: Path) -> Any:
    text = (DEPLOYED / "asterisk" / "vnum_settings.conf").read_text()
    text = text.replace("/var/log/asterisk", str(tmp_path)).replace("/var/spool/asterisk", str(tmp_path))
    file = tmp_path / "vnum_settings.conf"
    file.write_text(text)
    (tmp_path / "vnum.alive").touch()
    return DIALS.Settings(file)


def take(settings: Any, vnum: Vnum, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its pauses, without passing them, until vnum says nothing more (or it only waits)."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) > 10:
            raise Enough

    monkeypatch.setattr(DIALS, "asked", vnum.asked)
    monkeypatch.setattr(DIALS.time, "sleep", sleep)
    with pytest.raises(Enough):
        DIALS.take(settings)
    return pauses


def spooled(settings: Any) -> list[Path]:
    return sorted((settings.spool / "outgoing").glob("*"))


def test_an_order_becomes_one_call_file(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    vnum = Vnum([DIAL], [DIAL], [DIAL | {"call_id": "dial-2"}])
    take(settings, vnum, monkeypatch)
    assert [file.name for file in spooled(settings)] == ["vnum-dial-1.call", "vnum-dial-2.call"]
    assert vnum.told == [("dial-1", "ringing_agent"), ("dial-2", "ringing_agent")]
    lines = spooled(settings)[0].read_text().splitlines()
    assert "Channel: PJSIP/+8613700000001@vnum-out" in lines
    assert "CallerID: <18400913965>" in lines
    assert {"WaitTime: 30", "MaxRetries: 0", "Context: vnum-ordered", "Setvar: call_id=dial-1"} <= set(lines)


def test_the_agent_is_dialled_as_the_carrier_wants_it(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.strip, settings.prefix = 3, "0"
    take(settings, Vnum([DIAL]), monkeypatch)
    text = spooled(settings)[0].read_text()
    assert "Channel: PJSIP/013700000001@vnum-out" in text
    assert "Setvar: caller=+8613700000001" in text


@pytest.mark.parametrize(
    "wrong",
    [
        {"agent": "+8613700000001\nApplication: System"},
        {"call_id": "../../etc/x"},
        {"host": "1840091396x"},
        {"extension": ""},
        {"display_number": "<1>"},
        {"max_ring_seconds": "soon"},
        {"agent": None},
    ],
    ids=str,
)
def test_what_is_no_order_is_not_spooled(settings: Any, monkeypatch: pytest.MonkeyPatch, wrong: Any) -> None:
    vnum = Vnum([DIAL | wrong], [DIAL | {"call_id": "dial-2"}])
    take(settings, vnum, monkeypatch)
    assert [file.name for file in spooled(settings)] == ["vnum-dial-2.call"]
    assert vnum.told == [("dial-2", "ringing_agent")]


def test_it_asks_again_with_growing_pauses(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    vnum = Vnum(*[OSError()] * 6, [DIAL], OSError())
    assert take(settings, vnum, monkeypatch) == [1, 2, 4, 8, 16, 30, 1]
    assert len(spooled(settings)) == 1


def test_it_takes_nothing_while_asterisk_is_away(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.alive.unlink()
    vnum = Vnum([DIAL])
    assert set(take(settings, vnum, monkeypatch)) == {1}
    assert (len(vnum.answers), vnum.told) == (1, [])


def test_what_can_not_be_spooled_is_told_as_failed(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (settings.spool / "outgoing").touch()
    vnum = Vnum([DIAL])
    take(settings, vnum, monkeypatch)
    assert vnum.told == [("dial-1", "ringing_agent"), ("dial-1", "failed")]


def test_states_are_read_once_and_torn_lines_are_let_go(settings: Any) -> None:
    assert DIALS.written(settings.states) == []
    settings.states.write_text(
        "ringing,dial-1,2026-10-05T04:01:03.000Z\nanswered,dial-1\nended,dial-1,2026-10-05T04:02:03.000Z\n"
    )
    assert [(one["state"], one["call_id"]) for one in DIALS.written(settings.states)] == [
        ("ringing", "dial-1"),
        ("ended", "dial-1"),
    ]
    assert DIALS.written(settings.states) == []
