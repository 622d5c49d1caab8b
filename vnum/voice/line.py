"""What a call's flow asks of telephony, and nothing more: two legs, tones, digits, and who left when.

Instants are seconds of the clock's `monotonic`, so that a step of the machine's clock in mid-call charges nobody.
"""

from datetime import datetime
from typing import Protocol

import msgspec


class Clock(Protocol):
    def utc(self) -> datetime: ...

    def monotonic(self) -> float: ...


class Gone(Exception):
    """The party hung up."""


class LineTrouble(Exception):
    """A leg could not be begun; `cause` of Q.850."""

    def __init__(self, why: str, cause: int) -> None:
        super().__init__(why)
        self.cause = cause


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What an incoming call says of itself. `digits` = the extension, where the request carries it."""

    caller: str
    host: str
    digits: str | None = None


class Leg(Protocol):
    """One party. Whatever waits for him raises Gone when he hangs up."""

    @property
    def rang_at(self) -> float | None: ...

    async def answer(self) -> None:
        """Raises Gone."""

    async def play(self, *prompts: str, until_digit: bool = False) -> None:
        """To their end, or to the first digit (`#` is none). Raises Gone."""

    async def digit(self, within_s: float) -> str | None:
        """The next one keyed in, also while a prompt played; None = none in time. Raises Gone."""

    def unread_digit(self) -> str | None:
        """The next one that was keyed in and not asked for, also by one who is gone."""

    def forget_digits(self) -> None:
        """What was keyed in and not asked for yet belonged to the try before."""

    def ring_back(self, *, on: bool) -> None:
        """He hears that the other's phone rings."""

    async def hang_up(self) -> None:
        """Ends or declines; of a leg that is gone, nothing. Raises nothing."""


class Answered(msgspec.Struct, frozen=True):
    at: float


class Failed(msgspec.Struct, frozen=True):
    """Nobody answered. release_dir 0 platform, 1 caller, 2 callee; cause of Q.850."""

    at: float
    release_dir: int
    cause: int


class Left(msgspec.Struct, frozen=True):
    """Who hung up, or 0 = a party fell silent for good; cause of Q.850."""

    at: float
    release_dir: int
    cause: int


class Line(Protocol):
    async def ring(self, callee: str, shown: str) -> Leg:
        """Begins a leg to `callee` (E.164), who sees `shown`. Raises LineTrouble.

        A fixed line's own extension (`+862112345678;ext=801`) is keyed in when it answers.
        """

    async def picked_up(self, callee: Leg, within_s: float, *, caller: Leg | None) -> Answered | Failed:
        """The outcome of ringing; the leg still has to be hung up unless it was answered."""

    async def talk(self, caller: Leg, callee: Leg, until: float) -> Left | None:
        """Lets both hear each other; None = they still talk at `until`, and go on hearing each other."""

    def warn(self, caller: Leg, callee: Leg) -> None:
        """Both hear the tone before the cut, over each other's voice."""
