"""Who acts: the key behind a request, the operator at the command line, or vnum itself.

It goes along with the task, not through every signature: whatever a request runs is done by its key, is written so in
the audit, and sees what that key may see. Work for many at once (group commits, care) runs in a context of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar

import msgspec


class Acting(msgspec.Struct, frozen=True, gc=False):
    """`by` = the id of a key, `operator:<account>`, or `system`. `merchants`, `carrier`: what he is tied to; None = not
    tied."""

    by: str
    merchants: frozenset[str] | None = None
    carrier: str | None = None

    @property
    def tied(self) -> bool:
        return self.merchants is not None or self.carrier is not None


SYSTEM = Acting("system")
_ACTING: ContextVar[Acting] = ContextVar("acting", default=SYSTEM)


def acting() -> Acting:
    return _ACTING.get()


def act(who: Acting) -> None:
    """From here on, in this task."""
    _ACTING.set(who)


@contextmanager
def untied() -> Iterator[None]:
    """For what a tied key's request needs and the key may not see or do itself: out of its tie, still in its name.

    PostgreSQL holds nothing back in here, so check what is asked for before, and keep the block small. Decision 0024
    lists every use. Not around a `yield` of a generator, whose reader would be untied with it.
    """
    who = _ACTING.get()
    token = _ACTING.set(Acting(who.by))
    try:
        yield
    finally:
        _ACTING.reset(token)


@contextmanager
def acting_by(by: str) -> Iterator[None]:
    """For a piece of work for many that is one's own: in the name of who asked for it, tied to nothing."""
    token = _ACTING.set(Acting(by))
    try:
        yield
    finally:
        _ACTING.reset(token)


_REQUEST: ContextVar[str | None] = ContextVar("structlog_request_id", default=None)
# By its name structlog puts it in every log line (merge_contextvars), without a call of its own in each request.


def request_id() -> str | None:
    """The id of the HTTP request that this task serves."""
    return _REQUEST.get()


def serve_request(known_as: str) -> None:
    """From here on, in this task."""
    _REQUEST.set(known_as)


def apart() -> Context:
    """A context for work that is nobody's request alone."""
    return Context()
