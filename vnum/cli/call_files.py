"""What the commands that read a carrier's file have in common: its options, its bytes, and a bar that shows how far."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from vnum.carrier import CallFile, Encoding, Form, zone_named
from vnum.cli.options import choice
from vnum.cli.session import console

PIECE = 256 * 1024
F = TypeVar("F", bound=Callable[..., Any])


def file_options(function: F) -> F:
    """FILE --format --zone --encoding."""
    for option in (
        choice(
            "--encoding",
            among=Encoding,
            default=Encoding.UTF_8.value,
            help="gb18030 reads GBK and GB2312 as well.",
        ),
        click.option(
            "--zone",
            help="Zone of times without an offset, as Asia/Shanghai; else the vendor's own (plain, asterisk: none).",
        ),
        choice(
            "--format",
            "form",
            among=Form,
            help="Whose format it is; else told by the columns.",
        ),
        click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path)),
    ):
        function = option(function)
    return function


def call_file(form: str | None, zone: str | None, encoding: str) -> CallFile:
    """Raises UsageError."""
    try:
        return CallFile(Form(form) if form else None, zone_named(zone) if zone is not None else None, encoding)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--zone") from None


async def pieces(path: Path) -> AsyncIterator[bytes]:
    """The file's bytes, with a bar while they are read."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress, path.open("rb") as file:
        task = progress.add_task(path.name, total=os.fstat(file.fileno()).st_size)
        while piece := file.read(PIECE):
            yield piece
            progress.advance(task, len(piece))
