"""Obtains Asterisk 22 or Kamailio for tests: without root, into one folder, nothing of the machine is changed.

    python scripts/obtain_switch.py asterisk|kamailio FOLDER [--mirror URL] [--suite SUITE]

apt downloads the packages and checks their signatures and sums, as for any installation, but with lists, archives and
state of its own in FOLDER; dpkg unpacks them into FOLDER/root. FOLDER/NAME then starts it, by the libraries that came
with it and not by the machine's. The mirror is the one of this machine's own apt sources. A second run finds what
the first has made. Exit code 3: it can not be had here (no apt, no network), with the reason on the last line.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

NOT_TO_BE_HAD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """`words` = with which it tells its version, as in `calls_itself`. `own` = the folder of its own libraries, beneath
    those of the system; `modules` = where it is told to look for modules."""

    name: str
    packages: tuple[str, ...]
    suite: str
    size: str
    calls_itself: str
    wanted: str
    words: tuple[str, ...]
    own: str = ""
    modules: str = ""


SWITCHES = {
    "asterisk": Switch(
        name="Asterisk",
        packages=("asterisk",),
        suite="forky",
        size="80 MB",
        calls_itself=r"Asterisk ([0-9][0-9.]*)",
        wanted=r"22\.",
        words=("-V",),
    ),
    "kamailio": Switch(
        name="Kamailio",
        packages=("kamailio", "kamailio-json-modules", "kamailio-utils-modules", "kamailio-extra-modules"),
        suite="bookworm",
        size="60 MB",
        calls_itself=r"version: kamailio ([0-9][0-9.]*)",
        wanted=r"5\.[6-9]|[6-9]\.",
        words=("-v",),
        own="kamailio",
        modules="kamailio/modules",
    ),
}
KEYRINGS = [Path("/usr/share/keyrings") / f"debian-archive-keyring.{ending}" for ending in ("gpg", "pgp")]
RELEASE = re.compile(r"^'(?P<mirror>[^']+?)/dists/(?P<suite>[^/']+)/InRelease'", re.MULTILINE)

# Read after the machine's own apt.conf, whose proxies stay in force and whose hooks do not: they would clean folders
# of the machine. Trust is not touched: without a good signature apt downloads nothing.
CONFIGURATION = """\
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Update::Pre-Invoke;
#clear APT::Architectures;
#clear Acquire::IndexTargets::deb::DEP-11;
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Dir::State "{folder}/apt/state";
Dir::State::status "{folder}/apt/status";
Dir::Cache "{folder}/apt/cache";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{folder}/apt/sources";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
"""
SOURCE = """\
Types: deb
URIs: {mirror}
Suites: {suite}
Components: main
Signed-By: {keyring}
"""
STARTER = """\
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
exec "$here/{loader}" --library-path "{libraries}" "$here/root/usr/sbin/{name}" {options} "$@"
"""


def main() -> None:
    asked = _asked()
    folder: Path = asked.folder.resolve()
    switch = SWITCHES[asked.switch]
    suite = asked.suite or switch.suite
    starter = folder / asked.switch
    version = _version(switch, starter)
    if version is None:
        _obtain(switch, starter, asked.mirror or _own_mirror(), suite)
        version = _version(switch, starter)
    if version is None or not re.match(switch.wanted, version):
        _give_up(f"{suite} has version {version}, which will not do; name another suite with --suite")
    _say(f"{switch.name} {version}: {starter}")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="obtain a switch for tests, without root")
    parser.add_argument("switch", choices=SWITCHES)
    parser.add_argument("folder", type=Path, help="where to unpack it (up to 350 MB)")
    parser.add_argument("--mirror", help="a mirror of Debian; by default the one of this machine's apt sources")
    parser.add_argument("--suite", help="the Debian suite to take it from; by default one that is known to do")
    return parser.parse_args()


def _obtain(switch: Switch, starter: Path, mirror: str, suite: str) -> None:
    folder = starter.parent
    _prepare(folder, mirror, suite)
    _say(f"1/3 reading the package lists of {suite}")
    _update(folder)
    _say(f"2/3 downloading {switch.name} and what it needs (some {switch.size})")
    done = _apt(folder, "install", "--yes", "--download-only", *switch.packages)
    if done.returncode:
        _give_up(f"apt could not download {switch.packages[0]} of {suite}: {_last(done)}")
    _say("3/3 unpacking")
    _unpack(folder)
    _make_starter(switch, starter)
    shutil.rmtree(folder / "apt/cache/archives")


def _prepare(folder: Path, mirror: str, suite: str) -> None:
    keyring = next((one for one in KEYRINGS if one.exists()), None)
    if keyring is None:
        _give_up(f"there is no keyring of Debian's archive ({KEYRINGS[0]}), so packages could not be verified")
    apt = folder / "apt"
    for needed in ("state/lists/partial", "cache/archives/partial", "sources"):
        (apt / needed).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    architecture = _run([_tool("dpkg"), "--print-architecture"]).stdout.strip()
    (apt / "apt.conf").write_text(CONFIGURATION.format(folder=folder, architecture=architecture))
    (apt / "sources" / "debian.sources").write_text(SOURCE.format(mirror=mirror, suite=suite, keyring=keyring))


def _own_mirror() -> str:
    """Where this machine's own Debian comes from."""
    told = dict(line.split("=", 1) for line in _os_release().splitlines() if "=" in line)
    codename = told.get("VERSION_CODENAME", "").strip('"')
    listed = _run([_tool("apt-get"), "update", "--print-uris"]).stdout
    suites = (codename, "stable", "testing", "sid")
    own = [found["mirror"] for found in RELEASE.finditer(listed) if found["suite"] in suites]
    if told.get("ID") != "debian" or not own:
        _give_up("this machine's apt sources name no mirror of Debian; name one with --mirror")
    return own[0]


def _os_release() -> str:
    try:
        return Path("/etc/os-release").read_text()
    except OSError:
        return ""


def _update(folder: Path) -> None:
    """A mirror that is not renewed every week has lists that are past their date: their signature is still checked,
    their age then not any more, and that is said."""
    done = _apt(folder, "update")
    if done.returncode and re.search(r"expired|not valid any", done.stdout):
        _say("    the mirror's lists are past their date; taken all the same, their signatures are checked")
        done = _apt(folder, "update", "-o", "Acquire::Check-Valid-Until=false")
    if done.returncode:
        _give_up(f"apt could not read the mirror's lists: {_last(done)}")


def _unpack(folder: Path) -> None:
    """Into a folder aside first, so that one that is cut off is never taken for a whole one."""
    aside, root = folder / "root.new", folder / "root"
    shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(root, ignore_errors=True)
    aside.mkdir()
    for package in sorted((folder / "apt/cache/archives").glob("*.deb")):
        done = _run([_tool("dpkg"), "--extract", str(package), str(aside)])
        if done.returncode:
            _give_up(f"{package.name} could not be unpacked: {_last(done)}")
    for sounds in aside.glob("usr/share/asterisk/sounds"):
        (sounds / "en").symlink_to(next(sounds.glob("en_*")).name)  # what the package does when it is installed
    aside.rename(root)


def _make_starter(switch: Switch, starter: Path) -> None:
    folder = starter.parent
    loader = next((one for start in ("usr/lib", "lib") for one in folder.glob(f"root/{start}/*/ld-linux-*.so.*")), None)
    if loader is None:
        _give_up("the packages bear no dynamic loader")
    system = [f"root/{start}/{loader.parent.name}" for start in ("usr/lib", "lib")]
    libraries = [*system, *([f"{system[0]}/{switch.own}"] if switch.own else [])]
    starter.write_text(
        STARTER.format(
            name=starter.name,
            loader=loader.relative_to(folder),
            libraries=":".join(f"$here/{one}" for one in libraries if (folder / one).is_dir()),
            options=f'-L "$here/{system[0]}/{switch.modules}"' if switch.modules else "",
        ),
        newline="\n",
    )
    starter.chmod(0o755)


def _version(switch: Switch, starter: Path) -> str | None:
    """As it tells itself, so that it is known to start."""
    if not starter.exists():
        return None
    done = _run([str(starter), *switch.words])
    found = re.search(switch.calls_itself, done.stdout)
    return found[1] if done.returncode == 0 and found else None


def _apt(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return _run([_tool("apt-get"), "-q", "-c", str(folder / "apt/apt.conf"), *words])


def _run(words: list[str]) -> subprocess.CompletedProcess[str]:
    """What it wrote, errors too, in English."""
    return subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"LC_ALL": "C.UTF-8"}
    )


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        _give_up(f"there is no {name} on this machine; it takes a Debian, or a system like it")
    return found


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stdout.splitlines() if line.startswith(("E:", "Err:", "dpkg"))]
    return lines[-1] if lines else f"exit code {done.returncode}"


def _say(line: str) -> None:
    print(line, flush=True)


def _give_up(reason: str) -> NoReturn:
    _say(f"it can not be had: {reason}")
    sys.exit(NOT_TO_BE_HAD)


if __name__ == "__main__":
    main()
