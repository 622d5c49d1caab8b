"""`vnum keys`: API keys, and the master key."""

from pathlib import Path

import click
from rich.table import Table

from vnum.cli.session import command, console, engine
from vnum.service.keys import Role
from vnum.vault.keys import KeyFileError, make_key_file


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


@keys.command()
@click.argument("file", type=click.Path(path_type=Path))
def master(file: Path) -> None:
    """Make a master key file (mode 0600): what phones are sealed with. Keep a copy where the database is not."""
    if file.exists():
        raise click.ClickException(f"{file} exists; a master key is never overwritten")
    try:
        make_key_file(file)
    except (KeyFileError, OSError) as trouble:
        raise click.ClickException(str(trouble)) from trouble
    click.echo(f"{file} made")
