"""`vnum migrate`."""

import click

from vnum.cli.session import command, servers
from vnum.store import migrate as stored


@click.command()
@command
async def migrate() -> None:
    """Bring the database to the shape of this release (as its owner: VNUM_POSTGRES_ADMIN_DSN)."""
    async with servers() as (settings, endpoints):
        names = await stored.migrate(endpoints.postgres_admin_dsn, settings.schema)
    click.echo("\n".join(f"applied {name}" for name in names) or "nothing to do")
