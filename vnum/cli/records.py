"""`vnum records`: call records out of a carrier's file."""

import csv
import os
import stat
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import IO

import click
from rich.table import Table

from vnum.cli.call_files import call_file, file_options, pieces
from vnum.cli.session import command, console, engine
from vnum.finance import harmless, plain
from vnum.service.imports import Imported, import_calls
from vnum.service.records import Status

NOT_ALL = 3
REJECTED_COLUMNS = ("line", "code", "detail", "row")


@click.group()
def records() -> None:
    """Call records."""


@records.command("import")
@file_options
@click.option(
    "--rejected",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where rows go that are not taken; else FILE.rejected.csv.",
)
@command
async def import_(file: Path, form: str | None, zone: str | None, encoding: str, rejected: Path | None) -> None:
    """Charge the calls of a carrier's file, each once: the same file again changes nothing.

    Rows that were not taken go to a file of their own, with their line and the reason; it holds phones as the input
    does, so only you may read it. Exit code 3 if there are such rows.
    """
    calls = call_file(form, zone, encoding)
    aside = rejected or file.with_name(f"{file.name}.rejected.csv")
    if aside.exists() and aside.samefile(file):
        raise click.BadParameter("that is FILE itself", param_hint="--rejected")
    count = _Count()
    async with engine() as opened:
        with _Aside(aside) as kept:
            async with aclosing(import_calls(opened.records, calls, pieces(file))) as batches:
                async for one in _each(batches):
                    count.add(one)
                    kept.add(one)
    console.print(count.table(f"{file.name}: {calls.rows:,} rows ({calls.form})"))
    for reason in count.reasons():
        click.echo(reason)
    if kept.rows:
        click.echo(f"{kept.rows} rows not taken, each with its reason: {aside}; it holds phones, only you may read it")
        sys.exit(NOT_ALL)


async def _each(batches: AsyncIterator[list[Imported]]) -> AsyncIterator[Imported]:
    async for batch in batches:
        for one in batch:
            yield one


class _Count:
    """What became of the rows."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.first: dict[str, Imported] = {}
        self.minutes = 0
        self.cost = Decimal(0)

    def add(self, one: Imported) -> None:
        said = one.reported
        name = f"{said.status} ({said.code})" if said.status is Status.REJECTED else str(said.status)
        self.rows[name] += 1
        if said.status is Status.REJECTED:
            self.first.setdefault(name, one)
        if said.status is Status.RATED:
            self.minutes += said.minutes or 0
            self.cost += said.cost or 0

    def reasons(self) -> list[str]:
        """The first of each kind that was refused; the others are mostly like it."""
        return [f"line {one.row.line}: {one.reported.detail}" for one in self.first.values()]

    def table(self, title: str) -> Table:
        table = Table(title=title, show_header=False)
        for status in (Status.RATED, Status.DUPLICATE, Status.CONFLICT):
            table.add_row(str(status), f"{self.rows.pop(status, 0):,}")
        for reason, rows in sorted(self.rows.items()):
            table.add_row(reason, f"{rows:,}", style="red")
        table.add_section()
        table.add_row("minutes charged now", f"{self.minutes:,}")
        table.add_row("CNY charged now", plain(self.cost))
        return table


class _Aside:
    """The file of rows that were not taken, for the owner's eyes only. Made before anything is charged, so that none
    stops halfway for want of it; one that stays empty is taken away. One of an earlier import is emptied, so that it
    never speaks of this one."""

    def __init__(self, path: Path) -> None:
        self.rows = 0
        self._path = path

    def __enter__(self) -> "_Aside":
        self._found = self._path.exists()
        try:
            self._file = _opened(self._path)
        except OSError as trouble:
            raise click.BadParameter(
                f"{self._path}: {trouble.strerror}; name a file that can be written", param_hint="--rejected"
            ) from None
        self._rows = csv.writer(self._file)
        self._rows.writerow(REJECTED_COLUMNS)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if not (self.rows or self._found):
            self._path.unlink()

    def add(self, one: Imported) -> None:
        said = one.reported
        if said.status in (Status.RATED, Status.DUPLICATE):
            return
        self.rows += 1
        self._rows.writerow((one.row.line, said.code, said.detail, harmless(one.row.text)))


def _opened(path: Path) -> IO[str]:
    """Emptied, mode 0600; never through a link. What is no file (a terminal, /dev/null) keeps its mode."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="")
