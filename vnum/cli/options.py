"""Options that several commands have, so that they read the same everywhere."""

import re
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from getpass import getuser
from typing import Any, TypeVar

import click
import msgspec

from vnum.finance import ZONE

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T", bound=msgspec.Struct)


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


def choice(*names: str, among: type[StrEnum], **more: Any) -> Callable[[F], F]:
    """One of the values of an enumeration; a default is shown."""
    return click.option(*names, type=click.Choice([one.value for one in among]), show_default="default" in more, **more)


def phone_from_input() -> str:
    """A phone, out of standard input: arguments can be read by others."""
    if sys.stdin.isatty():
        return str(click.prompt("phone", hide_input=True))
    return sys.stdin.readline().strip()


def asked(kind: type[T], **given: object) -> T:
    """What a command was told, checked as the API checks a body. Raises click.UsageError."""
    try:
        return msgspec.convert({name: value for name, value in given.items() if value is not None}, kind)
    except msgspec.ValidationError as error:
        raise click.UsageError(str(error)) from None


class Span(click.ParamType[timedelta]):
    """A length of time: 7d, 12h, 30m, 90s, or 0."""

    name = "span"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        match = _SPAN.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} is no length of time; write 7d, 12h, 30m, 90s or 0", param, ctx)
        return timedelta(seconds=int(match[1]) * _UNITS_S[match[2]])


_SPAN = re.compile(r"([0-9]{1,6})([dhms]|(?<=^0))", re.ASCII)
_UNITS_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "": 0}
