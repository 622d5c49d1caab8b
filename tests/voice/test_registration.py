"""A trunk that wants a registration, with a password, and the embedded switch that registers there."""

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.voice.attacker import Attacker
from tests.voice.embedded import Embedded
from tests.voice.office import Office, opened_office
from vnum.servers import Endpoints
from vnum.voice.softphone.phone import Trunk
from vnum.voice.softphone.sip import Address, Line, Message, sdp, uri_in

pytestmark = pytest.mark.asyncio

WAIT_S = 60
EXPIRES_S = 2
USER, PASSWORD, REALM = "vnum-1", "t0p-secret", "carrier"
METERS = re.compile(r"^vnum_switch_(?:trunk_registered|registrations_total\S*) (\S+)$", re.M)


@dataclass
class Registrar:
    """Takes who proves that he knows the password. `nonces` = those it gave out, each good once; `contacts` = as they
    were registered, the last one last."""

    nonces: set[str] = field(default_factory=set)
    contacts: list[str] = field(default_factory=list)
    shut: bool = False

    def answer(self, line: Line, message: Message, source: Address) -> None:
        kept = [(name, value) for name, value in message.headers if name in ("via", "from", "to", "call-id", "cseq")]
        if self.shut:
            answer = Message("SIP/2.0 403 Forbidden", kept)
        elif self._proves(message):
            self.contacts.append(uri_in(message.get("contact")))
            answer = Message("SIP/2.0 200 OK", [*kept, ("contact", f"<{self.contacts[-1]}>;expires={EXPIRES_S}")])
        else:
            self.nonces.add(nonce := secrets.token_hex(8))
            challenge = f'Digest realm="{REALM}", nonce="{nonce}", algorithm=MD5, qop="auth"'
            answer = Message("SIP/2.0 401 Unauthorized", [*kept, ("www-authenticate", challenge)])
        line.answer(message, answer, source)

    def _proves(self, message: Message) -> bool:
        """RFC 2617, with qop=auth."""
        told = dict(re.findall(r'(\w+)="?([^",]+)"?', message.get("authorization")))
        if told.get("nonce") not in self.nonces or told["username"] != USER:
            return False
        self.nonces.remove(told["nonce"])
        known, asked = _md5(f"{USER}:{REALM}:{PASSWORD}"), _md5(f"REGISTER:{told['uri']}")
        proof = ":".join([known, told["nonce"], told["nc"], told["cnonce"], "auth", asked])
        return told["response"] == _md5(proof)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@asynccontextmanager
async def behind(
    registrar: Registrar, endpoints: Endpoints, folder: Path, password: str = PASSWORD
) -> AsyncIterator[Office]:
    """An office whose trunk is the registrar too."""
    file = folder / "trunk.password"
    file.touch(0o600)
    file.write_text(password)
    switch = Embedded(more={"TRUNK_USER": USER, "TRUNK_PASSWORD_FILE": str(file), "TRUNK_REGISTER": "yes"})
    taken = Trunk._taken

    def told(self: Trunk, message: Message, source: Address) -> None:
        if message.method == "REGISTER" and message.status is None:
            registrar.answer(self.line, message, source)
        else:
            taken(self, message, source)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Trunk, "_taken", told)
        async with asyncio.timeout(WAIT_S), opened_office(endpoints, folder, switch) as (office, _):
            yield office
    assert password not in switch.logs()


async def until(office: Office, *, registered: bool, done: int = 0, failed: int = 0) -> None:
    """Until the meters say so, at the least."""
    wanted = [float(registered), done, failed]
    while True:
        assert isinstance(office.switch, Embedded)
        async with office.http.get(f"http://{office.switch.metrics}/metrics") as page:
            seen = [float(value) for value in METERS.findall(await page.text())]
        if seen[0] == wanted[0] and all(have >= want for have, want in zip(seen[1:], wanted[1:], strict=True)):
            return
        await asyncio.sleep(0.02)


async def a_call_goes_through(office: Office, n: int) -> None:
    talk = await office.connect(await office.order(n))
    await talk.end()
    (call,) = await office.filed(talk.order)
    office.check_talk(talk, call)


async def test_it_registers_is_rung_there_and_renews(endpoints: Endpoints, tmp_path: Path) -> None:
    registrar = Registrar()
    async with behind(registrar, endpoints, tmp_path) as office, Attacker(office) as carrier:
        await until(office, registered=True, done=2)
        host, port = office.switch.address
        assert set(registrar.contacts) == {f"sip:{USER}@{host}:{port}"}
        ringing = carrier.compose("INVITE", body=sdp(40000, (0,), 101))  # the number dialled is in To
        ringing.first = f"INVITE {registrar.contacts[-1]} SIP/2.0"
        assert await carrier.ask(ringing) == 200
        await a_call_goes_through(office, 0)
        registrar.shut = True
        await until(office, registered=False, failed=1)
        assert '"status": "403"' in office.switch.logs()
        await a_call_goes_through(office, 1)


async def test_calls_go_on_where_the_registration_fails(endpoints: Endpoints, tmp_path: Path) -> None:
    registrar = Registrar()
    async with behind(registrar, endpoints, tmp_path, "wrong") as office:
        await until(office, registered=False, failed=1)
        assert registrar.contacts == []
        assert "trunk_not_registered" in office.switch.logs()
        await a_call_goes_through(office, 0)
