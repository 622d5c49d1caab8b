"""Settings: read once, from the environment, at the composition root. Nothing else reads the environment."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import platformdirs

from vnum.model.call_policy import PlatformPolicy
from vnum.model.retention import MOST_DAYS, Keep
from vnum.vault import KeyPlace

S = TypeVar("S", bound=msgspec.Struct)

PREFIX = "VNUM_"
SWITCH_PREFIX = "VNUM_SWITCH_"
"""Of `vnum switch`, which reads its own (vnum/voice/settings.py)."""

MOST_LINE = 100
LINE = f"1 to {MOST_LINE} characters in one line"


class SettingsError(ValueError):
    """A setting that can not be used; names the variable and what it must be."""


class Secret(str):
    """A text that no repr shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(...)"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Each field is set by the environment variable VNUM_<FIELD>.

    Without `postgres_dsn` and `redis_url`, vnum starts embedded servers in `data_dir`.
    """

    data_dir: Path = msgspec.field(default_factory=lambda: _data_dir())
    postgres_dsn: str | None = None
    postgres_admin_dsn: str | None = None
    redis_url: str | None = None
    master_key_file: Path | None = None
    master_key: Secret | None = None
    master_key_command: str | None = None
    schema: str = "vnum"
    cells: int = 1
    host: str = "127.0.0.1"
    port: int = 8080
    postgres_connections: int = 8
    statement_timeout_s: int = 30
    max_call_seconds: int = 10_800
    call_policy: str | None = None
    call_back_hours: int = 24
    dials_per_minute: int = 60
    rate_per_s: int = 2_000
    auth_failures_per_min: int = 60
    body_timeout_s: int = 20
    request_timeout_s: int = 60
    proxy_hops: int = 0
    keep_bindings_days: int = 183
    keep_calls_days: int = 183
    keep_logs_days: int = 731
    keep_invoices_days: int = 3_653
    issuer: str = "VN"
    issuer_name: str | None = None
    issuer_tax_no: str | None = None
    fapiao_item: str | None = None
    webhook_http: str = "public"
    sms_gateway_url: str | None = None
    sms_gateway_key_file: Path | None = None
    keep_deliveries_days: int = 7
    pool_low_percent: int = 10
    log_level: str = "info"

    def __post_init__(self) -> None:
        _ = self.calls
        problems = [text for wrong, text in self._problems() if wrong]
        if problems:
            raise SettingsError("; ".join(problems))

    def _problems(self) -> list[tuple[bool, str]]:
        return [
            (not 1 <= self.cells <= 4096, "VNUM_CELLS must be 1 to 4096"),
            (not 1 <= self.port <= 65535, "VNUM_PORT must be 1 to 65535"),
            (not 2 <= self.postgres_connections <= 64, "VNUM_POSTGRES_CONNECTIONS must be 2 to 64"),
            (not 1 <= self.statement_timeout_s <= 600, "VNUM_STATEMENT_TIMEOUT_S must be 1 to 600"),
            (not 1 <= self.max_call_seconds <= 86_400, "VNUM_MAX_CALL_SECONDS must be 1 to 86400"),
            (not 0 <= self.call_back_hours <= 720, "VNUM_CALL_BACK_HOURS must be 0 (nobody is called back) to 720"),
            (not 0 <= self.dials_per_minute <= 6_000, "VNUM_DIALS_PER_MINUTE must be 0 (no limit) to 6000"),
            (
                not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", self.schema),
                "VNUM_SCHEMA must be lower-case letters, digits and _ (at most 63)",
            ),
            (
                sum(one is not None for one in (self.master_key_file, self.master_key, self.master_key_command)) > 1,
                "give one of VNUM_MASTER_KEY_FILE, VNUM_MASTER_KEY and VNUM_MASTER_KEY_COMMAND, not more",
            ),
            (not 0 <= self.rate_per_s <= 1_000_000, "VNUM_RATE_PER_S must be 0 (no limit) to 1000000"),
            (
                not 0 <= self.auth_failures_per_min <= 100_000,
                "VNUM_AUTH_FAILURES_PER_MIN must be 0 (no limit) to 100000",
            ),
            (not 1 <= self.body_timeout_s <= 600, "VNUM_BODY_TIMEOUT_S must be 1 to 600"),
            (not 0 <= self.request_timeout_s <= 3600, "VNUM_REQUEST_TIMEOUT_S must be 0 (no limit) to 3600"),
            (not 0 <= self.proxy_hops <= 10, "VNUM_PROXY_HOPS must be 0 to 10"),
            (not 1 <= self.keep_bindings_days <= MOST_DAYS, f"VNUM_KEEP_BINDINGS_DAYS must be 1 to {MOST_DAYS}"),
            (not 1 <= self.keep_calls_days <= MOST_DAYS, f"VNUM_KEEP_CALLS_DAYS must be 1 to {MOST_DAYS}"),
            (not 184 <= self.keep_logs_days <= MOST_DAYS, f"VNUM_KEEP_LOGS_DAYS must be 184 to {MOST_DAYS}"),
            (not 366 <= self.keep_invoices_days <= MOST_DAYS, f"VNUM_KEEP_INVOICES_DAYS must be 366 to {MOST_DAYS}"),
            (not self.issuer.isalnum(), "VNUM_ISSUER must be letters and digits"),
            (not _is_line(self.issuer_name), f"VNUM_ISSUER_NAME must be {LINE}"),
            (
                self.issuer_tax_no is not None and not re.fullmatch(r"[0-9A-Z]{15,20}", self.issuer_tax_no),
                "VNUM_ISSUER_TAX_NO must be 15 to 20 digits and capital letters",
            ),
            (not _is_line(self.fapiao_item), f"VNUM_FAPIAO_ITEM must be {LINE}"),
            (
                self.webhook_http not in {"public", "loopback", "allow"},
                "VNUM_WEBHOOK_HTTP must be public, loopback or allow",
            ),
            (not 1 <= self.keep_deliveries_days <= 365, "VNUM_KEEP_DELIVERIES_DAYS must be 1 to 365"),
            (not 0 <= self.pool_low_percent <= 100, "VNUM_POOL_LOW_PERCENT must be 0 (never) to 100"),
            (
                self.log_level not in {"debug", "info", "warning", "error"},
                "VNUM_LOG_LEVEL must be debug, info, warning or error",
            ),
        ]

    @property
    def calls(self) -> PlatformPolicy:
        """The call policy of merchants who set none. Raises SettingsError."""
        try:
            return msgspec.json.decode(self.call_policy or "{}", type=PlatformPolicy)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise SettingsError(
                f'VNUM_CALL_POLICY must be JSON such as {{"all_calls_per_day": 10}}: {error}'
            ) from error

    @property
    def key_file(self) -> Path:
        return self.master_key_file or self.data_dir / "master.key"

    @property
    def key_place(self) -> KeyPlace:
        return KeyPlace(file=self.key_file, text=self.master_key, command=self.master_key_command)

    @property
    def keep(self) -> Keep:
        return Keep(
            bindings_days=self.keep_bindings_days,
            calls_days=self.keep_calls_days,
            logs_days=self.keep_logs_days,
            invoices_days=self.keep_invoices_days,
        )

    @property
    def embedded(self) -> bool:
        return self.postgres_dsn is None


def _is_line(text: str | None) -> bool:
    """Whether nothing is said, or a text that can be printed."""
    return text is None or (0 < len(text.strip()) <= MOST_LINE and text.isprintable())


def _data_dir() -> Path:
    """`.vnum` where one is (a checkout whose demo or server was started), else the user's own data folder."""
    here = Path.cwd() / ".vnum"
    return here if here.is_dir() else Path(platformdirs.user_data_dir("vnum"))


def read(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings out of `environment` (default: the process's); unknown VNUM_ names are refused as typing errors."""
    source = os.environ if environment is None else environment
    given = {
        name.removeprefix(PREFIX).lower(): text
        for name, text in source.items()
        if name.startswith(PREFIX) and not name.startswith(SWITCH_PREFIX)
    }
    return taken(Settings, PREFIX, given)


def taken(kind: type[S], prefix: str, given: Mapping[str, str]) -> S:
    """The texts of variables, by their fields, as settings of that kind. Raises SettingsError."""
    unknown = sorted(given.keys() - set(kind.__struct_fields__))
    if unknown:
        known = ", ".join(prefix + name.upper() for name in kind.__struct_fields__)
        raise SettingsError(
            f"unknown setting {', '.join(prefix + name.upper() for name in unknown)}; there are {known}"
        )
    try:
        filled = {name: text for name, text in given.items() if text}
        return msgspec.convert(filled, kind, strict=False, dec_hook=lambda wanted, text: wanted(text))
    except msgspec.ValidationError as error:
        field = re.search(r"\$\.(\w+)", str(error))
        named = prefix + field[1].upper() if field else f"a {prefix} setting"
        raise SettingsError(f"{named} is malformed: {_must(kind, field[1] if field else '', str(error))}") from error


def _must(kind: type[msgspec.Struct], field: str, said: str) -> str:
    """What a value has to be, where msgspec's words are those of a programmer."""
    wanted = get_type_hints(kind).get(field)
    if get_origin(wanted) is Literal:
        return f"must be {' or '.join(get_args(wanted))}"
    expected = re.match(r"Expected `(int|float)", said)
    unit = " of seconds" if field.endswith("_s") else ""
    numbers = {"int": f"must be a whole number{unit}", "float": f"must be a number{unit}, as in 2.5"}
    return numbers[expected[1]] if expected else said.partition(" - at")[0]
