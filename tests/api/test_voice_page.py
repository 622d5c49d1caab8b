"""The newcomer's first call: what `docs/voice.md` says is pasted into a shell, word for word but for the ports."""

import re
import secrets
import shutil
import socket
from pathlib import Path

import pytest

from tests.voice.running import free_port

from .conftest import OpenWorld, Servers
from .test_quickstart import pasted, settings

PAGE = (Path(__file__).parents[2] / "docs/voice.md").read_text()
FIRST = PAGE.split("## In ten minutes\n")[1].split("\n### ")[0]
KEY = PAGE.split("### Trying the key after a call\n")[1].split("\n## ")[0]
STOPPED = "kill $(jobs -p); wait\n"
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
MARK = "--- next ---"
WITHIN_S = 300


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="needs curl and bash")
async def test_a_call_without_any_carrier(open_world: OpenWorld, endpoints: Servers, tmp_path: Path) -> None:
    ports = {
        "127.0.0.1:5060": f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}",
        "127.0.0.1:5080": f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}",
        "127.0.0.1:9465": f"127.0.0.1:{free_port()}",
    }
    script = "trap 'kill $(jobs -p); wait' EXIT\n" + f"echo '{MARK}'\n".join(
        [*BLOCK.findall(FIRST), STOPPED + BLOCK.findall(KEY)[0]]
    )
    for said, free in ports.items():
        script = script.replace(said, free)
    async with open_world(clock=None) as world:
        known = await settings(world, endpoints, tmp_path) | of_the_switch(ports, tmp_path)
        bound, ready, called, told, marked = (await pasted(script, known, tmp_path, WITHIN_S)).split(MARK)

    assert re.search(r"^18400913966-\d{4}$", bound, re.M)
    assert "ready" in ready, (tmp_path / "switch.log").read_text()
    log = (tmp_path / "switch.log").read_text()
    heard = [float(seconds) for seconds in re.findall(r"tone of `vnum answer` for ([\d.]+) s", called + marked)]
    assert heard[0] > 0.5, called + log
    assert heard[1] > 0.5, marked + log
    assert heard[2:] == [0.0], "who is complained of reaches him no more"
    assert '"mark": "complaint"' in marked
    assert "call 1: pressed 1" in (tmp_path / "answer.log").read_text()
    assert "call 1: it rings and shows 18400913966\ncall 1: answered\n" in called
    assert '"minutes":1,"cost":"0.02"' in told
    assert re.search(r"^rated: \d+ s, 1 min, CNY 0\.02$", told, re.M)
    assert "vnum_switch_answered_total 1.0" in told
    assert "look" not in log


def of_the_switch(ports: dict[str, str], folder: Path) -> dict[str, str]:
    """Its settings in place of those that it has without any."""
    first = 10_000 + 1_000 * secrets.randbelow(20)
    return {
        "VNUM_SWITCH_LISTEN": ports["127.0.0.1:5060"],
        "VNUM_SWITCH_TRUNK": f"sip:{ports['127.0.0.1:5080']}",
        "VNUM_SWITCH_METRICS": ports["127.0.0.1:9465"],
        "VNUM_SWITCH_RTP_PORTS": f"{first}-{first + 998}",
        "VNUM_SWITCH_SPOOL": str(folder / "spool"),
    }
