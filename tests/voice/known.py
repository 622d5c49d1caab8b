"""The switches there are, by name."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.voice.asterisk import Asterisk
from tests.voice.embedded import Embedded
from tests.voice.kamailio import Kamailio
from tests.voice.switches import Switch

SWITCHES: dict[str, Callable[[], Switch]] = {"embedded": Embedded, "asterisk": Asterisk, "kamailio": Kamailio}


def marked() -> list[Any]:
    """Their names, to parametrise by: those that are obtained for it run under the mark `voice` only."""
    return [pytest.param(name, marks=() if name == "embedded" else pytest.mark.voice) for name in SWITCHES]
