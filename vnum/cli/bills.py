"""`vnum bills`: the charges of one date as a file."""

import sys
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import click

from vnum.cli.session import command, console, engine, replacing
from vnum.engine import Engine

DATE = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option("--date", "day", type=DATE, required=True, help="A date of Asia/Shanghai, as in 2026-10-05.")
@click.option("--merchant", "merchant_id", help="One merchant; without it, all.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A file; without it, the terminal.")
@command
async def bills(day: datetime, merchant_id: str | None, out: Path | None) -> None:
    """Write every charge of a date as CSV: rental days that start on it, calls answered on it."""
    async with engine() as opened:
        if out is None:
            await _write(opened, day, merchant_id, sys.stdout.buffer)
            return
        with replacing(out) as file, console.status("reading"):
            await _write(opened, day, merchant_id, file)
    click.echo(f"{out} written")


async def _write(opened: Engine, day: datetime, merchant_id: str | None, file: BinaryIO) -> None:
    async with aclosing(opened.bills.file(day.date(), merchant_id)) as pieces:
        async for piece in pieces:
            file.write(piece)
    file.flush()
