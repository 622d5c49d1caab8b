"""What an examination of the servers reports."""

from dataclasses import dataclass
from enum import StrEnum

from vnum.servers.trouble import ServerTrouble


class State(StrEnum):
    """How a finding is to be taken."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. `advice` says what to do, and is empty where there is nothing to do."""

    name: str
    state: State
    message: str
    advice: str = ""

    @property
    def ok(self) -> bool:
        """False if vnum cannot work like this; a warning is still ok."""
        return self.state is not State.BAD


def good(name: str, message: str) -> Finding:
    return Finding(name=name, state=State.GOOD, message=message)


def warning(name: str, message: str, advice: str) -> Finding:
    return Finding(name=name, state=State.WARNING, message=message, advice=advice)


def bad(name: str, trouble: ServerTrouble) -> Finding:
    return Finding(name=name, state=State.BAD, message=trouble.what, advice=trouble.advice)
