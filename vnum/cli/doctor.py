"""`vnum doctor`: which servers are used, and what is wrong, in plain words."""

import sys

import click
from rich.table import Table
from rich.text import Text

from vnum.cli.session import command, console, set_up_logs
from vnum.servers import Finding, State, examine
from vnum.service.data_keys import try_out
from vnum.settings import Settings, read
from vnum.vault import KeyFileError, id_of, open_master

_STYLE = {State.GOOD: "green", State.WARNING: "yellow", State.BAD: "red"}


@click.command()
@command
async def doctor() -> None:
    """Say which servers are used, their versions, and what is wrong. Exit code 1 if something is."""
    settings = read()
    set_up_logs("error")
    findings = await examine(
        settings.data_dir,
        postgres_dsn=settings.postgres_dsn,
        postgres_admin_dsn=settings.postgres_admin_dsn,
        redis_url=settings.redis_url,
    )
    findings.append(await _master_key(settings))
    table = Table(show_header=False, box=None)
    for finding in findings:
        mark = Text(finding.state, style=_STYLE[finding.state])
        table.add_row(mark, finding.name, "\n".join(filter(None, (finding.message, finding.advice))))
    console.print(table)
    if not all(finding.ok for finding in findings):
        sys.exit(1)


async def _master_key(settings: Settings) -> Finding:
    place = settings.key_place
    if place.is_file and not place.file.exists() and settings.embedded:
        return Finding(name="master key", state=State.GOOD, message=f"{place.file}: made at the first start")
    try:
        master = open_master(place, may_make=False)
        await try_out(master)
    except (KeyFileError, OSError) as trouble:
        return Finding(name="master key", state=State.BAD, message=str(trouble))
    return Finding(name="master key", state=State.GOOD, message=f"{place.named}: {id_of(master)}")
