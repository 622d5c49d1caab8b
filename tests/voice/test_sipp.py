"""A second opinion on the phones: SIPp, an implementation of others, rings one and is rung by one.

`SIPP` names it where it is not on the path. Without root: apt-get download sip-tester libsctp1 libgsl27 libgslcblas0
libpcap0.8, dpkg -x each into one folder, and its libraries in LD_LIBRARY_PATH.
"""

import asyncio
import os
import shutil
import socket

import pytest

from tests.voice.running import free_port
from vnum.voice.softphone.call import Incoming
from vnum.voice.softphone.phone import Phone
from vnum.voice.softphone.sip import LOOPBACK
from vnum.voice.softphone.sound import tone

SIPP = os.environ.get("SIPP") or shutil.which("sipp")
WAIT_S = 60
CALLS = 3

pytestmark = [
    pytest.mark.voice,
    pytest.mark.skipif(SIPP is None, reason="SIPp is not here (apt: sip-tester); SIPP names another place of it"),
]


async def sipp(*words: str) -> asyncio.subprocess.Process:
    assert SIPP is not None
    return await asyncio.create_subprocess_exec(
        SIPP, "-i", LOOPBACK, "-nostdin", "-timeout", f"{WAIT_S}s", "-timeout_error", *words,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip


async def test_it_rings_a_phone_and_hangs_up() -> None:
    async with asyncio.timeout(WAIT_S), Phone("13900000001", tone(1)) as phone:
        host, port = phone.line.address
        process = await sipp("-sn", "uac", "-m", str(CALLS), "-d", "300", "-s", phone.number, f"{host}:{port}")
        assert await process.wait() == 0
        calls = [call for call in phone.calls.values() if isinstance(call, Incoming)]
        assert len(calls) == CALLS
        assert all(call.bye_came > call.acknowledged > 0 for call in calls)


async def test_a_phone_rings_it_and_hangs_up() -> None:
    port = free_port(socket.SOCK_DGRAM)
    async with asyncio.timeout(WAIT_S), Phone("13800000000", tone(0)) as phone:
        process = await sipp("-sn", "uas", "-p", str(port), "-m", str(CALLS))
        for _ in range(CALLS):
            call = await phone.dial(f"sip:service@{LOOPBACK}:{port}", (LOOPBACK, port))
            await call.until("acknowledged")
            call.hang_up()
            await call.until("ended")
            assert call.ended >= call.bye_sent > 0
        assert await process.wait() == 0
