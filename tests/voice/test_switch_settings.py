"""Settings of the switch, who rings whom by their URIs, and what a SIP answer means; as tables."""

import wave
from pathlib import Path

import pytest

from vnum.settings import SettingsError, read
from vnum.voice.causes import cause_of
from vnum.voice.numbers import caller_of, dialled
from vnum.voice.settings import SwitchSettings, read_switch
from vnum.voice.sounds import FRAME, PROMPTS, load_prompts

# The variable, a value that can not be used.
MALFORMED = [
    ("LISTEN", "5060"),
    ("LISTEN", "localhost:5060"),
    ("LISTEN", "300.0.0.1:5060"),
    ("LISTEN", "127.0.0.1:0"),
    ("ALLOW", "anybody"),
    ("ALLOW", "192.0.2.1/24"),
    ("ALLOW", "::1"),
    ("ALLOW", "192.0.2.1,,"),
    ("ALLOW", ",".join(f"192.0.2.{n}" for n in range(101))),
    ("TRUNK", "127.0.0.1:5080"),
    ("TRUNK", "sip:me@127.0.0.1"),
    ("TRUNK", "sip:127.0.0.1\r\nX: y"),
    ("TRUNK_USER", "alone"),
    ("TRUNK_REGISTER", "yes"),
    ("TRUNK_REGISTER", "maybe"),
    ("DOMAIN", "a b"),
    ("RTP_PORTS", "10000"),
    ("RTP_PORTS", "20000-10000"),
    ("RTP_PORTS", "10000-10002"),
    ("RTP_PORTS", "10000-70000"),
    ("API", "127.0.0.1:8080"),
    ("API", "ftp://127.0.0.1"),
    ("METRICS", "9465"),
    ("CALLS", "0"),
    ("CALLS", "many"),
    ("CALLS", "201"),
    ("ROUTE_TIMEOUT_S", "0"),
    ("RING_S", "1000"),
    ("FIRST_DIGIT_S", "0"),
    ("DIGIT_S", "-1"),
    ("WARNING_S", "-1"),
    ("MARK_S", "-1"),
    ("MARK_S", "0.5"),
    ("MARK_S", "61"),
    ("DRAIN_S", "-1"),
    ("SILENCE_S", "5"),
    ("PROMPTS", "/nowhere"),
    ("LISTN", "127.0.0.1:5060"),
]


# The variable, a value, what is said of it.
TOLD = [
    ("TRUNK_REGISTER", "1", "must be yes or no"),
    ("DRAIN_S", "5s", "must be a number of seconds"),
    ("SILENCE_S", "1.5", "must be a whole number"),
    ("ALLOW", "192.0.2.1,10.0.0.1/24", "10.0.0.1/24 is an address within 10.0.0.0/24"),
    ("ALLOW", "192.0.2.1,anybody", "'anybody' is neither"),
]


@pytest.mark.parametrize(("name", "value", "told"), TOLD)
def test_what_to_write_instead_is_told(name: str, value: str, told: str) -> None:
    with pytest.raises(SettingsError, match=f"VNUM_SWITCH_{name}.*{told}"):
        read_switch({f"VNUM_SWITCH_{name}": value})


def test_one_mistake_is_told_once() -> None:
    with pytest.raises(SettingsError) as refused:
        read_switch({"VNUM_SWITCH_LISTEN": "localhost:5060"})
    assert "ALLOW" not in str(refused.value)


@pytest.mark.parametrize(("name", "value"), MALFORMED)
def test_a_setting_that_can_not_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"VNUM_SWITCH_{name}"):
        read_switch({f"VNUM_SWITCH_{name}": value})


@pytest.mark.parametrize(
    ("listen", "trunk"),
    [
        ("127.0.0.1:5060", "sip:203.0.113.5:5060"),
        ("127.0.0.1:5060", "sip:203.0.113.5"),
        ("192.0.2.10:5060", "sip:127.0.0.1:5080"),
        ("0.0.0.0:5060", "sip:127.0.0.1:5080"),
        ("192.0.2.10:5060", "sip:localhost"),
    ],
)
def test_a_trunk_that_no_call_can_reach_is_refused_at_the_start(listen: str, trunk: str) -> None:
    with pytest.raises(SettingsError, match="reaches this machine only"):
        read_switch({"VNUM_SWITCH_LISTEN": listen, "VNUM_SWITCH_TRUNK": trunk})


@pytest.mark.parametrize(
    ("listen", "trunk"),
    [
        ("127.0.0.1:5060", "sip:localhost:5080"),
        ("127.0.0.1:5060", "sip:127.0.1.1"),
        ("127.0.0.1:5060", "sip:trunk.example"),
        ("0.0.0.0:5060", "sip:203.0.113.5:5060"),
    ],
)
def test_a_trunk_that_may_be_reached_is_taken(listen: str, trunk: str) -> None:
    given = {"VNUM_SWITCH_LISTEN": listen, "VNUM_SWITCH_TRUNK": trunk, "VNUM_SWITCH_ALLOW": "203.0.113.5"}
    assert read_switch(given).trunk == trunk


def test_without_any_it_listens_to_this_machine_only() -> None:
    settings = read_switch({"VNUM_HOST": "ignored here", "PATH": "/bin"})
    assert settings == SwitchSettings()
    assert settings.listening.host == settings.measured.host == "127.0.0.1"


def test_who_listens_to_others_says_to_whom() -> None:
    with pytest.raises(SettingsError, match="VNUM_SWITCH_ALLOW must name"):
        read_switch({"VNUM_SWITCH_LISTEN": "0.0.0.0:5060", "VNUM_SWITCH_TRUNK": "sip:203.0.113.5"})
    given = {
        "VNUM_SWITCH_LISTEN": "192.0.2.10:5060",
        "VNUM_SWITCH_TRUNK": "sip:203.0.113.5",
        "VNUM_SWITCH_ALLOW": "203.0.113.5, 198.51.100.0/24",
    }
    assert [str(one) for one in read_switch(given).networks] == ["203.0.113.5/32", "198.51.100.0/24"]
    assert [str(one) for one in read_switch({}).networks] == ["127.0.0.0/8"]


def test_its_settings_are_none_of_the_services() -> None:
    assert read({"VNUM_SWITCH_LISTEN": "127.0.0.1:5060"}) == read({})


@pytest.mark.parametrize(("ports", "calls"), [("10000-20000", 100), ("10000-10199", 50), ("10000-10003", 1)])
def test_as_many_calls_as_there_are_ports_for(ports: str, calls: int) -> None:
    assert read_switch({"VNUM_SWITCH_RTP_PORTS": ports}).places == calls


def test_the_key_is_one_word_that_others_can_not_read(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("vk_secret\n")
    file.chmod(0o600)
    assert read_switch({"VNUM_SWITCH_KEY_FILE": str(file)}).api_key == "vk_secret"
    assert read_switch({"VNUM_SWITCH_KEY": "vk_other"}).api_key == "vk_other"
    assert "vk_other" not in repr(read_switch({"VNUM_SWITCH_KEY": "vk_other"}))


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [("vk\n", 0o644, "chmod 600"), ("two words", 0o600, "one word"), ("", 0o600, "one word"), (None, 0, "read")],
)
def test_a_key_file_that_is_none_is_named(tmp_path: Path, text: str | None, mode: int, says: str) -> None:
    file = tmp_path / "key"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    with pytest.raises(SettingsError, match=f"VNUM_SWITCH_KEY_FILE.*{says}"):
        _ = read_switch({"VNUM_SWITCH_KEY_FILE": str(file)}).api_key


@pytest.mark.parametrize("given", [{}, {"VNUM_SWITCH_KEY": "a", "VNUM_SWITCH_KEY_FILE": "/b"}])
def test_one_key_is_given(given: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="VNUM_SWITCH_KEY_FILE"):
        _ = read_switch(given).api_key


# A To header -> the host and the extension in it.
DIALLED: dict[str, tuple[str, str | None]] = {
    "<sip:18400913965@10.0.0.1>": ("18400913965", None),
    '"Shop" <sip:18400913965@10.0.0.1:5060;transport=udp>': ("18400913965", None),
    "sip:18400913965@10.0.0.1": ("18400913965", None),
    "<sip:+8618400913965@10.0.0.1>": ("18400913965", None),
    "<sip:008618400913965@10.0.0.1>": ("18400913965", None),
    "<sip:%2B8618400913965@10.0.0.1>": ("18400913965", None),
    "<sip:184009139650042@10.0.0.1>": ("18400913965", "0042"),
    "<sip:18400913965;ext=0042@10.0.0.1>": ("18400913965", "0042"),
    "<sip:+8618400913965;ext=0042;phone-context=x@10.0.0.1>": ("18400913965", "0042"),
    "<sip:18400913965;phone-context=+86@10.0.0.1>": ("18400913965", None),
    "<sip:700123456780042@10.0.0.1>": ("70012345678", "0042"),
    "<tel:+8618400913965;ext=0042>": ("18400913965", "0042"),
    "<sip:021123456780042@10.0.0.1>": ("02112345678", "0042"),
    "<sip:1840091396500421@10.0.0.1>": ("1840091396500421", None),
    "<sip:alice@10.0.0.1>": ("alice", None),
    "<sip:10.0.0.1>": ("10.0.0.1", None),
    "": ("anonymous", None),
    f"<sip:{'1' * 250}@10.0.0.1>": ("1" * 64, None),
}


@pytest.mark.parametrize(("header", "found"), DIALLED.items(), ids=range(len(DIALLED)))
def test_host_and_extension_are_read_out_of_what_was_dialled(header: str, found: tuple[str, str | None]) -> None:
    assert dialled(header) == found


@pytest.mark.parametrize(
    ("header", "caller"),
    [
        ("<sip:13712345678@10.0.0.1>;tag=1", "13712345678"),
        ('"Li" <sip:+8613712345678;user=phone@10.0.0.1>;tag=1', "+8613712345678"),
        ("<sip:anonymous@anonymous.invalid>;tag=1", "anonymous"),
        ("<sip:@10.0.0.1>", "anonymous"),
        ("", "anonymous"),
    ],
)
def test_the_caller_is_read_out_of_from(header: str, caller: str) -> None:
    assert caller_of(header) == caller


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("486 Busy Here", 17),
        ("600 Busy Everywhere", 17),
        ("603 Decline", 21),
        ("403 Forbidden", 21),
        ("404 Not Found", 1),
        ("480 Temporarily Unavailable", 18),
        ("408 Request Timeout", 18),
        ("484 Address Incomplete", 28),
        ("500 Server Internal Error", 41),
        ("503 Service Unavailable", 41),
        ("502 Bad Gateway", 38),
        ("699 Odd", 31),
        ("Connection timed out", 18),
        ("Connection refused", 38),
        ("", 38),
    ],
)
def test_a_sip_answer_is_a_cause(said: str, cause: int) -> None:
    assert cause_of(said) == cause


def test_every_prompt_can_be_heard(tmp_path: Path) -> None:
    for pcm in (*load_prompts().values(), *load_prompts(tmp_path).values()):
        assert pcm
        assert len(pcm) % FRAME == 0


def test_ones_own_prompts_are_heard_where_there_are_any(tmp_path: Path) -> None:
    ours = load_prompts()
    (tmp_path / "welcome.wav").write_bytes(b"RIFF no wave")
    with wave.open(str(tmp_path / "extension.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        file.writeframes(bytes(100))
    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setparams((2, 2, 44100, 0, "NONE", "not compressed"))
        file.writeframes(bytes(100))
    mine = load_prompts(tmp_path)
    assert mine == ours | {"extension": bytes(FRAME)}
    assert set(mine) == set(PROMPTS)
