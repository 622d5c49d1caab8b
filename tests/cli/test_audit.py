"""Commands in the audit: whoever runs one that changes something is written down."""

import getpass
from pathlib import Path

import click

from vnum.cli import main
from vnum.cli.session import READING

from .test_commands import Shell, ready, shell

__all__ = ["ready", "shell"]

APART = {
    **dict.fromkeys(("replay", "sample"), "in a schema of its own, or in a file"),
    **dict.fromkeys(("keys master make", "doctor"), "nothing of the database"),
    "migrate": "the schema keeps its own history",
    "keys master rotate": "an entry in its own transaction",
    "serve": "its changes are its callers'",
}
"""Commands that open no engine by `session.engine`, and why they leave no entry there."""

SPAN = ("--from", "2026-01-01", "--to", "2100-01-01")
CHANGING = {
    *("hosts import", "pool rebuild", "records import", "records decide", "disputes resolve"),
    *("invoice close", "invoice note", "invoice rerate", "tariff add", "tariff assign", "webhooks replay"),
    *("keys add", "keys rotate", "keys change", "keys revoke", "retention run", "subject erase", "clock accept"),
}


def paths(command: click.Command, path: str = "") -> set[str]:
    if not isinstance(command, click.Group):
        return {path}
    own = {path} if command.invoke_without_command else set()
    return own.union(*(paths(part, f"{path} {name}".strip()) for name, part in command.commands.items()))


def test_every_command_is_looked_at() -> None:
    assert paths(main) == READING | set(APART) | CHANGING
    assert not READING & CHANGING


def test_a_command_that_changes_something_leaves_an_entry_and_a_reading_one_none(ready: Shell, tmp_path: Path) -> None:
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
    told = ready.run("audit", "list", *SPAN, "--by", f"operator:{getpass.getuser()}", COLUMNS="300").output
    for path in ("hosts import", "keys add", "clock accept", "pool rebuild", "tariff assign"):
        assert f"vnum {path}" in told, told
    assert "vnum keys list" not in told
    assert "merchant_id=[phone] tariff_id=default" in told
    assert "13812345678" not in told
