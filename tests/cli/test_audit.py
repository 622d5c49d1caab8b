"""Commands in the audit: whoever runs one that changes something is written down."""

import getpass
from pathlib import Path

import click
import uvloop

from tests.engines import connect_owner
from vnum.cli import main
from vnum.cli.session import READING
from vnum.servers import Endpoints

from .test_commands import Shell, ready, shell

__all__ = ["ready", "shell"]

APART = {
    **dict.fromkeys(("replay", "sample"), "in a schema of its own, or in a file"),
    **dict.fromkeys(("keys master make", "doctor"), "nothing of the database"),
    "migrate": "the schema keeps its own history",
    "keys master rotate": "an entry in its own transaction",
    "serve": "its changes are its callers'",
    "switch": "a client of the API, under a key of its own",
    "answer": "a phone, nothing of the database",
    "call": "a phone, nothing of the database",
    "demo": "a server of its own, which is thrown away",
}
"""Commands that open no engine by `session.engine`, and why they leave no entry there."""

CHANGING = {
    *("hosts import", "pool rebuild", "records import", "records decide", "disputes resolve"),
    *("invoice close", "invoice note", "invoice rerate", "tariff add", "tariff assign", "webhooks replay"),
    *("keys add", "keys rotate", "keys change", "keys revoke", "retention run", "subject erase", "clock accept"),
    *("callers register", "callers remove", "blacklist add", "blacklist remove", "opt-out say", "opt-out withdraw"),
}


def paths(command: click.Command, path: str = "") -> set[str]:
    if not isinstance(command, click.Group):
        return {path}
    own = {path} if command.invoke_without_command else set()
    return own.union(*(paths(part, f"{path} {name}".strip()) for name, part in command.commands.items()))


def test_every_command_is_looked_at() -> None:
    assert paths(main) == READING | set(APART) | CHANGING
    assert not READING & CHANGING


async def entries(endpoints: Endpoints, shell: Shell) -> list[tuple[str, str, str]]:
    """(who, did, what), the oldest first."""
    owner = await connect_owner(endpoints, shell.environment["VNUM_SCHEMA"])
    try:
        rows = await owner.fetch("SELECT actors[1], did, subjects[1] FROM audit_entries ORDER BY entry_id")
    finally:
        await owner.close()
    return [tuple(row) for row in rows]


def test_a_command_that_changes_something_leaves_an_entry_and_a_reading_one_none(
    ready: Shell, endpoints: Endpoints, tmp_path: Path
) -> None:
    hosts = tmp_path / "hosts.csv"
    hosts.write_text("host\n18400913965\n")
    for command in (
        ("hosts", "import", str(hosts)),
        ("keys", "add", "--role", "admin"),
        ("clock", "accept"),
        ("pool", "rebuild"),
        ("pool",),
        ("keys", "list"),
    ):
        ready.good(*command)
    ready.run("tariff", "assign", "13812345678", "default")  # refused, and written all the same: it was tried
    ready.good("keys", "master", str(tmp_path / "new"), "--id", "2")
    ready.good("keys", "master", "rotate", "--to-file", str(tmp_path / "new"))
    found = uvloop.run(entries(endpoints, ready))
    operator = f"operator:{getpass.getuser()}"
    assert [entry for entry in found if entry[1].startswith("vnum ")] == [
        (operator, "vnum hosts import", "-"),
        (operator, "vnum keys add", "-"),
        (operator, "vnum clock accept", "-"),
        (operator, "vnum pool rebuild", "-"),
        (operator, "vnum tariff assign", "merchant_id=[phone] tariff_id=default"),
    ]
    assert found[-1] == (operator, "master_key.replaced", "key id 2")
