"""Logs: JSON lines on stderr, ours and the libraries', with whatever looks like a phone masked."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog

from vnum.model.masking import OURS, masked_text

MOST_DEEP = 6
_PLAIN = (UUID, datetime, date, time, timedelta)


def set_up_logs(level: str) -> None:
    """On stderr, so that stdout stays what a command prints."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            mask_phones,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
    libraries = logging.getLogger()
    libraries.handlers = [_Libraries()]
    libraries.setLevel(logging.WARNING)


def mask_phones(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog: every name and value of an event, whatever is nested in it. What is masked, and what
    too much, says `vnum.model.masking`."""
    return {
        masked_text(str(name)): value if name in OURS and isinstance(value, str) else _masked(value)
        for name, value in event.items()
    }


def _masked(value: Any, deep: int = 0) -> Any:
    if value is None or isinstance(value, (bool, *_PLAIN)):
        return value
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, (int, float, Decimal)):
        text = str(value)
        return value if (masked := masked_text(text)) == text else masked
    if isinstance(value, Mapping) and deep < MOST_DEEP:
        return {masked_text(str(name)): _masked(one, deep + 1) for name, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)) and deep < MOST_DEEP:
        return [_masked(one, deep + 1) for one in value]
    return masked_text(repr(value))


class _Libraries(logging.Handler):
    """What libraries log, as a line of ours: without tracebacks, which could hold a row's values."""

    def emit(self, record: logging.LogRecord) -> None:
        trouble = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        structlog.get_logger().warning("library", library=record.name, said=record.msg, trouble=trouble)
