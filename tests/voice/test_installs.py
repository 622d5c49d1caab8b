"""The documented installs of Asterisk and Kamailio: the commands of docs/voice.md are run as they stand, into a folder
instead of the machine's root, and what the units, settings and configurations name is looked for there."""

import re
import shutil
import stat
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs" / "voice.md").read_text()
PACKAGES = {
    "asterisk": ("/etc/asterisk", "/var/log/asterisk", "/var/spool/asterisk", "/usr/share/asterisk/sounds"),
    "kamailio": ("/etc/kamailio",),
}
"""Folders that come with the packages."""

SYSTEM = {"/usr/bin/setpriv"}
"""Of any Debian (util-linux)."""

ABSOLUTE = re.compile(r"(?<=[\s\"'=])/(?:etc|usr|var)/[\w./-]+")


@dataclass(slots=True)
class Install:
    """`owners` = as the commands say, by path."""

    name: str
    folder: Path
    owners: dict[str, str] = field(default_factory=dict)

    def at(self, path: str) -> Path:
        return self.folder / path.removeprefix("/")

    def mode(self, path: str) -> int:
        return stat.S_IMODE(self.at(path).stat().st_mode)

    def units(self) -> list[Path]:
        return sorted(one for one in self.at("/etc/systemd").rglob("*") if one.is_file())

    def settings(self) -> Path:
        return next(self.at(f"/etc/{self.name}").glob("vnum_settings.*"))


def commands(name: str) -> str:
    """The block that installs it."""
    (block,) = [one for one in re.findall(r"```sh\n(.*?)```", DOCS, re.S) if f"apt install {name} " in one]
    return str(block)


@pytest.fixture(params=sorted(PACKAGES))
def installed(request: pytest.FixtureRequest, tmp_path: Path) -> Install:
    """By a root who keeps everything to himself (umask 077): the commands have to say who may read what."""
    install = Install(request.param, tmp_path)
    for folder in (*PACKAGES[install.name], "/etc/systemd/system"):
        install.at(folder).mkdir(parents=True)
    lines = []
    for line in commands(install.name).splitlines():
        if owner := re.search(r" -o (\w+)", line):
            install.owners |= dict.fromkeys(ABSOLUTE.findall(line), owner[1])
        lines.append(ABSOLUTE.sub(lambda path: f"{tmp_path}{path[0]}", re.sub(r" -[og] \w+", "", line)))
    script = "\n".join(["set -e", "umask 077", "apt() { :; }", *lines])
    done = subprocess.run(["sh", "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return install


def test_every_file_of_ours_arrives(installed: Install) -> None:
    arrived = {one.read_bytes() for one in installed.folder.rglob("*") if one.is_file()}
    ours = [*(ROOT / "deploy" / installed.name).iterdir(), ROOT / "deploy" / "vnum_records.py"]
    assert [one.name for one in ours if one.is_file() and one.read_bytes() not in arrived] == []


def test_what_units_name_is_there(installed: Install) -> None:
    assert installed.units()
    for unit in installed.units():
        for path in set(ABSOLUTE.findall(unit.read_text())) - SYSTEM:
            assert installed.at(path).exists(), (unit.name, path)
            if path.endswith(".py"):
                assert installed.mode(path) == 0o755


def test_no_unit_of_ours_runs_as_root(installed: Install) -> None:
    """Whoever may write where a program lies may have it run: /etc/asterisk is Asterisk's own."""
    for unit in installed.units():
        text = unit.read_text()
        started = re.findall(r"^ExecStart\w*=(\S+)(.*)$", text, re.M)
        assert started
        for program, words in started:
            by_user = f"User={installed.name}" in text or f"--reuid={installed.name} " in words
            package_has_user = installed.name == "kamailio" and unit.parent.name == "kamailio.service.d"
            assert by_user or package_has_user, unit
            assert program[0] == "/", "no + or ! before it"


def test_what_settings_name_is_there_or_can_be_made(installed: Install) -> None:
    paths = ABSOLUTE.findall(installed.settings().read_text())
    assert len(paths) >= 3
    for path in paths:
        assert installed.at(path).exists() or installed.at(path).parent.is_dir(), path


def test_what_configurations_include_is_there(installed: Install) -> None:
    for file in installed.at(f"/etc/{installed.name}").iterdir():
        if file.suffix in (".conf", ".cfg"):
            for name in re.findall(r'^(?:#include|include_file) "([^"]+)"', file.read_text(), re.M):
                assert (file.parent / name).exists(), (file.name, name)


def test_who_may_read_what(installed: Install) -> None:
    """The switch and the programs beside it run as its user: group of the settings, owner of the key and of what is
    written. Nobody else reads keys, passwords or callers' numbers."""
    etc = f"/etc/{installed.name}"
    group = f"-g {installed.name}"
    assert (installed.mode(f"{etc}/vnum.key"), installed.owners[f"{etc}/vnum.key"]) == (0o600, installed.name)
    for file in installed.at(etc).glob("vnum_*.c*"):
        assert installed.mode(f"{etc}/{file.name}") == 0o640
    assert any("-m 640" in line and group in line for line in commands(installed.name).splitlines())
    for unit in installed.units():
        assert stat.S_IMODE(unit.stat().st_mode) == 0o644
    written = "/var/log/asterisk" if installed.name == "asterisk" else "/var/lib/vnum"
    assert not installed.mode(written) & 0o007
    assert installed.owners.get(written, "asterisk") == installed.name
    for prompt in installed.at("/usr").rglob("*.wav"):
        assert stat.S_IMODE(prompt.stat().st_mode) == 0o644


def test_a_drop_in_says_where_it_lies(installed: Install) -> None:
    (drop_in,) = [one for one in installed.units() if one.name == "vnum-cut.conf"]
    assert drop_in.read_text().startswith(f"# /{drop_in.relative_to(installed.folder)}\n")
    assert drop_in.parent.name == f"{installed.name}.service.d"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_understands_the_units(installed: Install) -> None:
    """With the paths of this folder; users are those of a machine with the package."""
    units = installed.folder / "units"
    units.mkdir()
    for unit in installed.units():
        text = unit.read_text()
        for path in sorted(set(ABSOLUTE.findall(text)) - SYSTEM, key=len, reverse=True):
            text = re.sub(rf"(?<=[\s=]){re.escape(path)}(?![\w./-])", str(installed.at(path)), text)
        made = units / (unit.name if unit.suffix == ".service" else "cut.service")
        made.write_text(text if made.suffix == unit.suffix else f"{text}ExecStart=/bin/true\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(units.iterdir())], capture_output=True, text=True
    )
    ours = [
        line for line in done.stderr.splitlines() if str(units) in line or line.partition(":")[0].endswith(".service")
    ]
    assert (done.returncode, ours) == (0, []), done.stderr


def test_the_page_names_every_file(installed: Install) -> None:
    for file in (ROOT / "deploy" / installed.name).iterdir():
        if file.is_file():
            assert f"`{file.name}`" in DOCS or f"`deploy/{installed.name}/{file.name}`" in DOCS, file.name
