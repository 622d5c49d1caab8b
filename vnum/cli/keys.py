"""`vnum keys`: API keys, and the master key."""

import os
from pathlib import Path

import click
from rich.table import Table

from vnum.cli.session import bring_up, command, console, engine, servers
from vnum.service import data_keys
from vnum.service.keys import Role
from vnum.store.database import open_database
from vnum.vault import KeyFileError, KeyPlace, id_of, make_key_file, open_master
from vnum.vault.keys import MOST_ID


@click.group()
def keys() -> None:
    """API keys, and the master key."""


@keys.command()
@click.option(
    "--role", type=click.Choice([role.value for role in Role]), required=True, help="What the key may do: docs/api.md."
)
@click.option("--merchant", "merchants", multiple=True, help="Tie a merchant, isv or finance key to merchants.")
@click.option("--carrier", help="Tie a courier key to a carrier.")
@command
async def add(role: str, merchants: tuple[str, ...], carrier: str | None) -> None:
    """Make an API key. It is shown this once."""
    async with engine() as opened:
        made = await opened.keys.make(Role(role), merchants=list(merchants) or None, carrier=carrier)
    click.echo(made.text)


@keys.command("list")
@command
async def list_() -> None:
    """All keys, without their secrets."""
    async with engine() as opened:
        found = await opened.keys.list()
    table = Table()
    for column in ("key", "role", "tied to", "note", "made", "revoked"):
        table.add_column(column)
    for key in found:
        tied = ", ".join(key.merchants or ()) or key.carrier or ""
        revoked = f"{key.revoked_at:%F %T}" if key.revoked_at else ""
        table.add_row(key.key_id, key.role, tied, key.note or "", f"{key.created_at:%F %T}", revoked)
    console.print(table)


@keys.command()
@click.argument("key_id")
@command
async def revoke(key_id: str) -> None:
    """End a key, named by its id (the part between vk_ and the next _)."""
    async with engine() as opened:
        if not await opened.keys.revoke(key_id):
            raise click.ClickException(f"no key {key_id} is in force")
    click.echo(f"{key_id} revoked; servers that run know within a few seconds")


class _Master(click.Group):
    """`vnum keys master FILE` makes one; everything else is a command of its own."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["make", *args])


@keys.group(cls=_Master)
def master() -> None:
    """Make a master key file (`vnum keys master FILE`), or put another master key in the place of the present one."""


@master.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--id", "key_id", type=click.IntRange(1, MOST_ID), default=1, show_default=True, help="Tells keys apart.")
def make(file: Path, key_id: int) -> None:
    """Make a master key file (mode 0600): what wraps the keys that phones are sealed with. Keep a copy where the
    database is not."""
    if file.exists():
        raise click.ClickException(f"{file} exists; a master key is never overwritten")
    try:
        make_key_file(file, key_id)
    except (KeyFileError, OSError) as trouble:
        raise click.ClickException(str(trouble)) from trouble
    click.echo(f"{file} made")


@master.command()
@click.option("--to-file", type=click.Path(path_type=Path), help="A file that `vnum keys master FILE --id N` made.")
@click.option("--to-variable", metavar="NAME", help="An environment variable that holds <id>:<64 hex digits>.")
@click.option("--to-command", metavar="COMMAND", help="A KMS: as VNUM_MASTER_KEY_COMMAND.")
@command
async def rotate(to_file: Path | None, to_variable: str | None, to_command: str | None) -> None:
    """Wrap all data keys by another master key. The settings still name the present one; running servers go on.

    Done in one transaction: breaking it off leaves the present key in force, and repeating it changes nothing. Then
    name the new key in the settings, restart the servers one after the other, and destroy the old key.
    """
    if sum(one is not None for one in (to_file, to_variable, to_command)) != 1:
        raise click.UsageError("give one of --to-file, --to-variable and --to-command")
    text = None if to_variable is None else os.environ.get(to_variable, "")
    new = open_master(KeyPlace(file=to_file or Path(), text=text, command=to_command), may_make=False)
    async with servers() as (settings, endpoints):
        await bring_up(settings, endpoints)
        database = await open_database(endpoints.postgres_dsn, settings.schema, connections=2)
        try:
            count = await data_keys.rotate(database, settings.key_place, new)
        finally:
            await database.close()
    if count:
        click.echo(f"{count} data keys are wrapped by {id_of(new)} now: name it in the settings before the next start")
    else:
        click.echo(f"nothing to do: the data keys are wrapped by {id_of(new)} already")
