"""The last guard of the log: a phone in any corner of an event, ours or a library's, is masked in the line."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import structlog

from vnum.cli.logs import mask_phones, set_up_logs

PHONE = "13812345678"


class Strange:
    def __repr__(self) -> str:
        return f"<of {PHONE}>"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    root, before = logging.getLogger(), (logging.getLogger().handlers, logging.getLogger().level)
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    set_up_logs("info")
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    structlog.reset_defaults()
    root.handlers, root.level = before


@pytest.mark.parametrize(
    "value",
    [
        PHONE,
        int(PHONE),
        float(PHONE),
        PHONE.encode(),
        [PHONE],
        {"a": {"b": (PHONE, {PHONE})}},
        {PHONE: 1},
        Strange(),
        ValueError(PHONE),
        [[[[[[[[PHONE]]]]]]]],
    ],
    ids=repr,
)
def test_a_phone_anywhere_in_an_event(lines: Any, value: Any) -> None:
    structlog.get_logger().warning("said", value=value)
    (line,) = lines()
    assert PHONE not in json.dumps(line)
    assert "[phone]" in json.dumps(line)


def test_the_event_itself_its_names_and_its_traceback(lines: Any) -> None:
    log = structlog.get_logger()
    log.info(f"of {PHONE}", **{f"k{PHONE}": 1})
    try:
        raise ValueError(f"bad {PHONE}")
    except ValueError:
        log.exception("failed")
    text = json.dumps(lines())
    assert PHONE not in text
    assert "ValueError" in text


def test_what_a_library_says(lines: Any) -> None:
    logging.getLogger("somebody").error("no route to %s", PHONE)
    logging.getLogger("somebody").error(f"no route to +86 {PHONE}")
    said = [line["said"] for line in lines()]
    assert said == ["no route to %s", "no route to [phone]"]


def test_what_is_no_phone_comes_out_as_it_was() -> None:
    event = {
        "host": "18400913965",
        "number": "18400913965-7576",
        "binding_id": UUID(int=7),
        "at": datetime(2026, 10, 5, tzinfo=UTC),
        "count": 7,
        "share": 0.5,
        "none": None,
        "yes": True,
        "names": ["a", "b"],
    }
    assert mask_phones(None, "info", dict(event)) == event
