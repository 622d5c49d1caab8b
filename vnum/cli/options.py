"""Options that several commands have, so that they read the same everywhere."""

from collections.abc import Callable
from datetime import datetime
from getpass import getuser
from typing import Any, TypeVar

import click

from vnum.finance import ZONE

F = TypeVar("F", bound=Callable[..., Any])


class When(click.ParamType[datetime]):
    """An instant with its offset; a date alone is its first instant in Asia/Shanghai."""

    name = "instant"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no instant; write 2026-12-01 or 2026-12-01T08:00:00+08:00", param, ctx)
        if instant.tzinfo is None:
            if len(value) > len("2026-12-01"):
                self.fail(f"{value!r} has no offset; write 2026-12-01T08:00:00+08:00", param, ctx)
            return instant.replace(tzinfo=ZONE)
        return instant


def author_option(stands: str) -> Callable[[F], F]:
    """`--author`, where it may be left out: the login name then."""
    return click.option("--author", default=getuser, help=f"Who; {stands}. Without it, your login name.")
