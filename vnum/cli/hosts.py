"""`vnum hosts`: register many hosts at once."""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from vnum.cli.session import command, engine
from vnum.model.refusals import Refused, UnusableFile
from vnum.service.hosts import NewHost

COLUMNS = NewHost.__struct_fields__


@click.group()
def hosts() -> None:
    """Host numbers."""


@hosts.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@command
async def import_(file: Path) -> None:
    """Register the hosts of a CSV file: host, and if need be city, carrier, plan, ext_digits, ext_check,
    quarantine_days (a number, or `never`), max_live.

    Rows that can not be registered are told with their line; the others are. Exit code 1 if there were such rows.
    """
    added = refused = 0
    async with engine() as opened:
        for line, row in _rows(file):
            try:
                await opened.hosts.add(_host(row))
                added += 1
            except (msgspec.ValidationError, Refused) as problem:
                refused += 1
                text = problem.refusal.detail if isinstance(problem, Refused) else str(problem)
                click.echo(f"{file.name}:{line}: {text}", err=True)
    click.echo(f"{added} hosts registered, {refused} refused")
    if refused:
        sys.exit(1)


def _rows(file: Path) -> Iterator[tuple[int, dict[str | None, str]]]:
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as opened:
        reader = csv.DictReader(opened)
        unknown = sorted(set(reader.fieldnames or ()) - set(COLUMNS))
        if "host" not in (reader.fieldnames or ()) or unknown:
            named = f"unknown column {', '.join(unknown)}" if unknown else "no column host"
            raise UnusableFile(f"{file}: {named}; columns may be {', '.join(COLUMNS)}")
        for row in reader:
            yield reader.line_num, row


def _host(row: dict[str | None, str]) -> NewHost:
    """Empty cells take the defaults. Raises ValidationError."""
    if None in row:
        raise msgspec.ValidationError("more cells than the header has columns")
    if any("\udc80" <= sign <= "\udcff" for value in row.values() for sign in value or ""):
        raise msgspec.ValidationError("not UTF-8; save the file as CSV UTF-8")
    given: dict[str, object] = {name: value for name, value in row.items() if name and value}
    if given.get("quarantine_days") == "never":
        given["quarantine_days"] = None
    return msgspec.convert(given, NewHost, strict=False)
