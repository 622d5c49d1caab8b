"""Settings of the switch: VNUM_SWITCH_ variables, read once at its composition root."""

import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final, Literal

import msgspec
from yarl import URL

from vnum.settings import SWITCH_PREFIX, Secret, SettingsError, read, taken

_ADDRESS: Final = re.compile(r"(?P<host>(?:[0-9]{1,3}\.){3}[0-9]{1,3}):(?P<port>[0-9]{1,5})")
_TRUNK: Final = re.compile(r"sip:(?P<address>[A-Za-z0-9.-]+(?::[0-9]{1,5})?)")
_PORTS: Final = re.compile(r"(?P<first>[0-9]{4,5})-(?P<last>[0-9]{4,5})")
_LOOPBACK: Final = IPv4Network("127.0.0.0/8")
MOST_NETWORKS: Final = 100
_LOOSE: Final = 0o077
"""Rights of the group and of others."""


class Address(msgspec.Struct, frozen=True):
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class SwitchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Each field is set by VNUM_SWITCH_<FIELD>; times are seconds. `spool` None = in the data folder.
    `allow` = addresses and networks with commas between them; needed where `listen` is not the loopback."""

    listen: str = "127.0.0.1:5060"
    trunk: str = "sip:127.0.0.1:5080"
    allow: str = ""
    trunk_user: str | None = None
    trunk_password_file: Path | None = None
    trunk_register: Literal["yes", "no"] = "no"
    domain: str | None = None
    rtp_ports: str = "10000-20000"
    api: str = "http://127.0.0.1:8080"
    key: Secret | None = None
    key_file: Path | None = None
    spool: Path | None = None
    metrics: str = "127.0.0.1:9465"
    calls: int = 100
    route_timeout_s: float = 3.0
    ring_s: float = 30.0
    first_digit_s: float = 8.0
    digit_s: float = 4.0
    warning_s: float = 10.0
    mark_s: float = 0.0
    drain_s: float = 10.0
    silence_s: int = 60
    prompts: Path | None = None

    def __post_init__(self) -> None:
        problems = [text for wrong, text in self._problems() if wrong]
        if problems:
            raise SettingsError("; ".join(problems))

    def _problems(self) -> list[tuple[bool, str]]:
        url, stranger = URL(self.api), _stranger(self.allow)
        ports = _PORTS.fullmatch(self.rtp_ports)
        return [
            (_address(self.listen) is None, "VNUM_SWITCH_LISTEN must be an IPv4 address and a port: 127.0.0.1:5060"),
            (_address(self.metrics) is None, "VNUM_SWITCH_METRICS must be an IPv4 address and a port: 127.0.0.1:9465"),
            (_TRUNK.fullmatch(self.trunk) is None, "VNUM_SWITCH_TRUNK must be sip:host:port, as in sip:127.0.0.1:5080"),
            (
                _address(self.listen) is not None and not self.on_loopback and not self.allow,
                "VNUM_SWITCH_ALLOW must name who may speak SIP to the switch, since VNUM_SWITCH_LISTEN is not "
                "127.0.0.1: addresses and networks of trunks and softphones, as in 203.0.113.5,192.0.2.0/24",
            ),
            (
                stranger is not None or len(_entries(self.allow)) > MOST_NETWORKS,
                f"VNUM_SWITCH_ALLOW must be at most {MOST_NETWORKS} IPv4 addresses and networks with commas between "
                f"them: 203.0.113.5,192.0.2.0/24{stranger or ''}",
            ),
            (
                _apart(self.listen, self.trunk),
                "VNUM_SWITCH_LISTEN and VNUM_SWITCH_TRUNK: 127.0.0.1 reaches this machine only, and only from there; "
                "take it for both, or the address of the network card for both (192.0.2.10:5060, sip:203.0.113.5:5060)",
            ),
            (
                (self.trunk_user is None) != (self.trunk_password_file is None),
                "give both of VNUM_SWITCH_TRUNK_USER and VNUM_SWITCH_TRUNK_PASSWORD_FILE, or neither",
            ),
            (
                self.trunk_register == "yes" and self.trunk_user is None,
                "VNUM_SWITCH_TRUNK_REGISTER needs VNUM_SWITCH_TRUNK_USER and VNUM_SWITCH_TRUNK_PASSWORD_FILE",
            ),
            (
                self.trunk_user is not None and not re.fullmatch(r"[A-Za-z0-9+._-]{1,64}", self.trunk_user),
                "VNUM_SWITCH_TRUNK_USER must be letters, digits and + . _ -",
            ),
            (
                self.domain is not None and not re.fullmatch(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?", self.domain),
                "VNUM_SWITCH_DOMAIN must be the name or address that stands behind the @ of what is shown",
            ),
            (
                ports is None
                or not 1024 <= int(ports["first"]) <= int(ports["last"]) + 1 - PORTS_A_CALL <= 65536 - PORTS_A_CALL,
                f"VNUM_SWITCH_RTP_PORTS must be two ports from 1024 on, the lower first: 10000-20000; "
                f"a call takes {PORTS_A_CALL}",
            ),
            (
                url.scheme not in {"http", "https"} or not url.host,
                "VNUM_SWITCH_API must be an http:// or https:// URL",
            ),
            (not 1 <= self.calls <= MOST_CALLS, f"VNUM_SWITCH_CALLS must be 1 to {MOST_CALLS}"),
            (not 0.1 <= self.route_timeout_s <= 30, "VNUM_SWITCH_ROUTE_TIMEOUT_S must be 0.1 to 30"),
            (not 1 <= self.ring_s <= 180, "VNUM_SWITCH_RING_S must be 1 to 180"),
            (not 1 <= self.first_digit_s <= 60, "VNUM_SWITCH_FIRST_DIGIT_S must be 1 to 60"),
            (not 0.5 <= self.digit_s <= 60, "VNUM_SWITCH_DIGIT_S must be 0.5 to 60"),
            (not 0 <= self.warning_s <= 120, "VNUM_SWITCH_WARNING_S must be 0 (none) to 120"),
            (
                not (self.mark_s == 0 or 1 <= self.mark_s <= 60),
                "VNUM_SWITCH_MARK_S must be 0 (the recipient is asked for nothing) or 1 to 60",
            ),
            (
                not (self.silence_s == 0 or 10 <= self.silence_s <= 3600),
                "VNUM_SWITCH_SILENCE_S must be 0 (off) or 10 to 3600",
            ),
            (
                self.prompts is not None and not self.prompts.is_dir(),
                "VNUM_SWITCH_PROMPTS must be a folder with <name>.wav files",
            ),
            (not 0 <= self.drain_s <= 10_800, "VNUM_SWITCH_DRAIN_S must be 0 to 10800"),
        ]

    @property
    def places(self) -> int:
        """Calls at once: `calls`, or as many as there are ports for their sound."""
        match = _PORTS.fullmatch(self.rtp_ports)
        assert match is not None
        return min(self.calls, (int(match["last"]) - int(match["first"]) + 1) // PORTS_A_CALL)

    @property
    def listening(self) -> Address:
        address = _address(self.listen)
        assert address is not None
        return address

    @property
    def on_loopback(self) -> bool:
        return self.listen.startswith("127.")

    @property
    def networks(self) -> tuple[IPv4Network, ...]:
        """Who may speak SIP to the switch, besides the trunk."""
        return tuple(map(IPv4Network, _entries(self.allow))) or (_LOOPBACK,)

    @property
    def measured(self) -> Address:
        address = _address(self.metrics)
        assert address is not None
        return address

    @property
    def trunk_address(self) -> str:
        """host or host:port, as it stands behind the @."""
        return self.trunk.removeprefix("sip:")

    @property
    def spool_folder(self) -> Path:
        return self.spool or read().data_dir / "switch" / "spool"

    @property
    def trunk_password(self) -> str:
        """Raises SettingsError."""
        if self.trunk_password_file is None:
            return ""
        return _secret(self.trunk_password_file, "VNUM_SWITCH_TRUNK_PASSWORD_FILE")

    @property
    def api_key(self) -> str:
        """Raises SettingsError."""
        if self.key is not None and self.key_file is not None:
            raise SettingsError("VNUM_SWITCH_KEY and VNUM_SWITCH_KEY_FILE both give the switch its key; take one away")
        if self.key is None and self.key_file is None:
            raise SettingsError(
                "give the switch its key: VNUM_SWITCH_KEY_FILE (a file of mode 0600) or VNUM_SWITCH_KEY, one of them; "
                "`vnum keys add --role switch` makes one"
            )
        return str(self.key) if self.key_file is None else _secret(self.key_file, "VNUM_SWITCH_KEY_FILE")


MOST_CALLS: Final = 200
"""Two legs each, and a SIP identity a host: the library has 1,023 places for all of them."""


PORTS_A_CALL: Final = 4
"""RTP and RTCP of two legs."""


def read_switch(environment: Mapping[str, str] | None = None) -> SwitchSettings:
    """Unknown VNUM_SWITCH_ names are refused as typing errors. Raises SettingsError."""
    source = os.environ if environment is None else environment
    given = {
        name.removeprefix(SWITCH_PREFIX).lower(): text
        for name, text in source.items()
        if name.startswith(SWITCH_PREFIX) and text
    }
    return taken(SwitchSettings, SWITCH_PREFIX, given)


def _address(text: str) -> Address | None:
    match = _ADDRESS.fullmatch(text)
    if match is None or not 1 <= int(match["port"]) <= 65535:
        return None
    if any(int(part) > 255 for part in match["host"].split(".")):
        return None
    return Address(match["host"], int(match["port"]))


def _entries(text: str) -> list[str]:
    return [one.strip() for one in text.split(",")] if text else []


def _stranger(text: str) -> str | None:
    """What is said of the first that is no address and no network."""
    for one in _entries(text):
        try:
            IPv4Network(one)
        except ValueError:
            try:
                meant = IPv4Network(one, strict=False)
            except ValueError:
                return f"; {one!r} is neither"
            return f"; {one} is an address within {meant}: write that"
    return None


def _secret(file: Path, setting: str) -> str:
    try:
        mode = file.stat().st_mode
        text = file.read_text("ascii").strip()
    except OSError as trouble:
        raise SettingsError(f"{setting}: {file} can not be read: {trouble.strerror or 'trouble'}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{setting}: {file} must hold one word and nothing else") from None
    if mode & _LOOSE:
        raise SettingsError(f"{setting}: others than its owner may use {file}; run chmod 600 on it")
    if not text or not text.isprintable() or len(text.split()) != 1:
        raise SettingsError(f"{setting}: {file} must hold one word and nothing else")
    return text


def _apart(listen: str, trunk: str) -> bool:
    """Whether one is on the loopback and the other surely not: no call would ever go out. Of names nothing is known."""
    ours, theirs = _address(listen), _address(trunk.removeprefix("sip:") + ":5060" * (trunk.count(":") == 1))
    if trunk.startswith("sip:localhost"):
        theirs = Address("127.0.0.1", 5060)
    if ours is None or theirs is None:
        return False
    return ours.host.startswith("127.") != theirs.host.startswith("127.")
