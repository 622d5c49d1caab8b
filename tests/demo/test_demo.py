"""The call of the demo is real, its report says when something is wrong, and no number stands in it."""

import asyncio
import re
from io import StringIO
from pathlib import Path

import msgspec
from rich.console import Console

from vnum.demo.call import AGENT, RECIPIENT, Shown, make_call
from vnum.demo.show import show
from vnum.servers import Endpoints
from vnum.vault import KeyPlace

WAIT_S = 240


def report(shown: Shown, out: Path) -> tuple[bool, str]:
    written = StringIO()
    good = show(Console(file=written, width=100), shown, out)
    return good, written.getvalue()


async def test_one_call_from_the_label_to_the_invoice(endpoints: Endpoints, tmp_path: Path) -> None:
    steps: list[str] = []
    async with asyncio.timeout(WAIT_S):
        shown = await make_call(endpoints, KeyPlace(file=tmp_path / "master.key"), steps.append)
    good, told = report(shown, tmp_path)

    assert good, told
    assert re.fullmatch(r"the label says 18400913965-\d{4}", steps[0])
    picture = (tmp_path / "ladder.txt").read_text()
    assert picture.strip() in told
    order = ["INVITE X", "collect 4 digits", "voice", "digits ····", "route X ····", "connect", "INVITE, shows X",
             "both talk", "BYE", "record", "1 min, 0.02 CNY"]  # fmt: skip
    places = [picture.find(words) for words in order]
    assert -1 not in places
    assert places == sorted(places)
    assert max(map(len, picture.splitlines())) <= 100
    for text in (told, picture, (tmp_path / "ladder.svg").read_text()):
        assert not re.search(f"{AGENT}|{RECIPIENT}|\\+86", text)
    assert "its detail of this call: order A1001" in told
    assert "VN-" in told
    assert not report(msgspec.structs.replace(shown, recipient_saw=f"<sip:{AGENT}@trunk>"), tmp_path)[0]
    deaf = msgspec.structs.replace(shown.agent, heard_s=0.0)
    assert not report(msgspec.structs.replace(shown, agent=deaf), tmp_path)[0]
