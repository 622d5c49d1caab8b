"""The switches there are, by name."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.voice.asterisk import Asterisk
from tests.voice.embedded import Embedded
from tests.voice.kamailio import Kamailio
from tests.voice.office import Office, opened_office
from tests.voice.switches import NotToBeHad, Switch
from vnum.servers import Endpoints

SWITCHES: dict[str, Callable[[], Switch]] = {"embedded": Embedded, "asterisk": Asterisk, "kamailio": Kamailio}


def marked() -> list[Any]:
    """Their names, to parametrise by: those that are obtained for it run under the mark `voice` only."""
    return [pytest.param(name, marks=() if name == "embedded" else pytest.mark.voice) for name in SWITCHES]


@asynccontextmanager
async def office_with(name: str, endpoints: Endpoints, folder: Path) -> AsyncIterator[Office]:
    """An office with the switch of that name; the tests in it are skipped where that can not be had."""
    try:
        async with opened_office(endpoints, folder, SWITCHES[name]()) as (office, _):
            yield office
    except NotToBeHad as why:
        pytest.skip(str(why))
