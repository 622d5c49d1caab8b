"""`vnum keys`: API keys, and the master key."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import msgspec
from rich.table import Table

from vnum.cli.options import Span, When, choice
from vnum.cli.session import bring_up, command, console, engine, servers
from vnum.service import data_keys
from vnum.service.key_ring import MOST_RATE_PER_S, KeyChange, NewKey
from vnum.service.keys import Role
from vnum.store.database import open_database
from vnum.vault import KeyFileError, KeyPlace, id_of, make_key_file, open_master
from vnum.vault.keys import MOST_ID


@click.group()
def keys() -> None:
    """API keys, and the master key."""


@keys.command()
@choice("--role", among=Role, required=True, help="What the key may do: docs/api.md.")
@click.option("--merchant", "merchants", multiple=True, help="Tie a merchant, isv or finance key to merchants.")
@click.option("--carrier", help="Tie a courier key to a carrier.")
@click.option("--note", help="What the key is for.")
@click.option("--expires", type=When(), help="When it ends by itself, as 2027-01-01T00:00:00+08:00.")
@click.option("--rate", type=click.IntRange(0, MOST_RATE_PER_S), help="Requests a second; 0 = no limit.")
@click.option("--signed", is_flag=True, help="It signs its requests, and its secret never travels.")
@command
async def add(
    role: str,
    merchants: tuple[str, ...],
    carrier: str | None,
    note: str | None,
    expires: datetime | None,
    rate: int | None,
    *,
    signed: bool,
) -> None:
    """Make an API key. It is shown this once. An isv key sees the merchants that grant it so
    (PUT /v1/merchants/{merchant_id}/grants/{key id}), and of those only the ones it is tied to, if any."""
    async with engine() as opened:
        made = await opened.keys.make(
            Role(role),
            merchants=list(merchants) or None,
            carrier=carrier,
            note=note,
            expires_at=expires,
            rate_per_s=rate,
            signed=signed,
        )
    _tell(made)


@keys.command("rotate")
@click.argument("key_id")
@click.option(
    "--overlap",
    type=Span(),
    default="7d",
    show_default=True,
    help="How long the former secret goes on: 7d, 12h, 30m; 0 = it ends now.",
)
@command
async def rotate_key(key_id: str, overlap: timedelta) -> None:
    """Make a second secret for a key, named by its id. It is shown this once."""
    async with engine() as opened:
        made = await opened.keys.rotate(key_id, overlap)
    _tell(made)


@keys.command()
@click.argument("key_id")
@click.option("--note", help="What the key is for.")
@click.option("--expires", type=When(), help="When it ends by itself.")
@click.option("--rate", type=click.IntRange(0, MOST_RATE_PER_S), help="Requests a second; 0 = no limit.")
@command
async def change(key_id: str, note: str | None, expires: datetime | None, rate: int | None) -> None:
    """Change a key's note, end or rate."""
    changed = {
        name: value
        for name, value in (("note", note), ("expires_at", expires), ("rate_per_s", rate))
        if value is not None
    }
    if not changed:
        raise click.UsageError("say what changes: --note, --expires or --rate")
    async with engine() as opened:
        await opened.keys.change(key_id, msgspec.convert(changed, KeyChange))
    click.echo(f"{key_id} changed; servers that run know within a few seconds")


@keys.command("list")
@command
async def list_() -> None:
    """All keys, without their secrets. Times are UTC; `secrets until` has an end for each secret in force."""
    async with engine() as opened:
        found = await opened.keys.list()
    table = Table()
    table.add_column("key", no_wrap=True)
    for column in ("role", "tied to", "note", "rate/s", "made", "last used", "secrets until", "revoked"):
        table.add_column(column)
    for key in found:
        tied = ", ".join(key.merchants or ()) or key.carrier or ""
        ends = ", ".join(_time(secret.ends_at) or "open" for secret in key.secrets) or "none in force"
        table.add_row(
            key.key_id,
            f"{key.role}, signs" if key.signed else key.role,
            tied,
            key.note or "",
            "" if key.rate_per_s is None else str(key.rate_per_s),
            _time(key.created_at),
            str(key.used_on or ""),
            ends,
            _time(key.revoked_at),
        )
    console.print(table)


def _tell(made: NewKey) -> None:
    """A key to send, in a line of its own; or, to sign with, the key's id and its secret."""
    click.echo(f"key {made.key_id}\nsecret {made.text}" if made.signed else made.text)


def _time(instant: datetime | None) -> str:
    return "" if instant is None else f"{instant.astimezone(UTC):%F %T}"


@keys.command()
@click.argument("key_id")
@command
async def revoke(key_id: str) -> None:
    """End a key with all its secrets, named by its id (the part between vk_ and the next _)."""
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
