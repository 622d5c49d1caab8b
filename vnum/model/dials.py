"""Calls that a merchant orders: their states, and how long each step may take. Pure."""

from datetime import timedelta
from enum import StrEnum
from typing import Final


class CallState(StrEnum):
    """What a switch tells of a call while it runs, in order; of the last two the first counts."""

    RINGING_AGENT = "ringing_agent"
    COLLECTING = "collecting"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"
    FAILED = "failed"


class DialState(StrEnum):
    """The same of an ordered call, and what comes before."""

    QUEUED = "queued"
    TAKEN = "taken"
    RINGING_AGENT = "ringing_agent"
    COLLECTING = "collecting"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"
    FAILED = "failed"


class DialFailure(StrEnum):
    """Why an ordered call failed, where no rule for calls (`refusals.Code`) refused it."""

    NOT_TAKEN = "dial_not_taken"
    """No switch took it in time, or none that took it said anything."""

    LOST = "dial_lost"
    """The switch fell silent before anybody answered."""

    FAILED = "dial_failed"
    """The switch says so: the agent did not answer, say."""


TAKE_WITHIN: Final = timedelta(minutes=2)
"""An older order is not rung any more: the agent has gone on to something else."""

SAY_WITHIN: Final = timedelta(seconds=30)
"""A switch that says nothing of an order for so long does not have it: another may take it."""

LOST_AFTER: Final = timedelta(minutes=10)
"""No phone rings longer."""

RING_S: Final = 30
"""How long a switch lets a phone ring."""
