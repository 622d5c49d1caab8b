"""Who means ill, over SIP: a port that says whatever it is told, and messages in which something is wrong."""

import asyncio
import re

from tests.voice.office import HOST, Office
from vnum.voice.softphone.sip import LOOPBACK, Line, Message, token

WAIT_S = 60


class Attacker:
    """A UDP port that sends whatever it is told, and keeps what comes back."""

    def __init__(self, office: Office, host: str = LOOPBACK) -> None:
        self._to = office.switch.address
        self._line: Line | None = None
        self._host = host
        self.heard: list[Message] = []

    async def __aenter__(self) -> "Attacker":
        self._line = await Line.open(lambda message, _: self.heard.append(message), host=self._host)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._line is not None
        self._line.close()

    def throw(self, data: bytes) -> None:
        assert self._line is not None
        self._line.transport.sendto(data, self._to)

    def compose(self, method: str, *, body: str = "", **changed: str) -> Message:
        assert self._line is not None
        host, port = self._line.address
        headers = {
            "via": f"SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bK{token()}",
            "max-forwards": "70",
            "from": f"<sip:13755550000@{host}>;tag={token()}",
            "to": f"<sip:{HOST}@{self._to[0]}:{self._to[1]}>",
            "call-id": token(),
            "cseq": f"1 {method}",
            "contact": f"<sip:13755550000@{host}:{port}>",
        } | {name.replace("_", "-"): value for name, value in changed.items()}
        if body:
            headers["content-type"] = "application/sdp"
        return Message(f"{method} sip:{HOST}@{self._to[0]}:{self._to[1]} SIP/2.0", list(headers.items()), body)

    async def ask(self, message: Message, *, final: bool = True) -> int:
        """The status of its answer; sent again until there is one, as UDP asks for."""
        async with asyncio.timeout(WAIT_S):
            while True:
                self.throw(message.encode())
                for _ in range(50):
                    if told := [status for status in self.told(message) if status >= 200 or not final]:
                        return told[0]
                    await asyncio.sleep(0.01)

    def told(self, message: Message) -> list[int]:
        ours = [one for one in self.heard if one.call_id == message.call_id and one.method == message.method]
        return [one.status for one in ours if one.status]


def malformed(whole: bytes) -> dict[str, bytes]:
    """An INVITE in which something is wrong."""
    head, _, body = whole.partition(b"\r\n\r\n")
    user = HOST.encode()
    return {
        "nothing": b"",
        "ends of lines": b"\r\n" * 500,
        "half of it": whole[: len(whole) // 2],
        "its first line": whole.split(b"\r\n")[0] + b"\r\n\r\n",
        "zeros": bytes(2_000),
        "zeros within": whole.replace(user, user[:5] + b"\0" + user[5:]),
        "not UTF-8": whole.replace(b"sip:137", b"sip:\xff\xfe\xc3\x28137"),
        "a user of 10 kB": whole.replace(user, b"1" * 10_000),
        "a caller of 10 kB": whole.replace(b"13755550000", b"1" * 10_000),
        "a header of 50 kB": whole.replace(b"\r\nMax", b"\r\nX-Long: " + b"a" * 50_000 + b"\r\nMax"),
        "a thousand Via": whole.replace(
            b"\r\nVia", b"\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx" * 1_000 + b"\r\nVia"
        ),
        "no Via": re.sub(rb"Via:[^\r]*\r\n", b"", whole),
        "no From": re.sub(rb"From:[^\r]*\r\n", b"", whole),
        "no Call-ID": re.sub(rb"Call-Id:[^\r]*\r\n", b"", whole),
        "a length beyond its end": re.sub(rb"Content-Length: \d+", b"Content-Length: 65000", whole),
        "a length below zero": re.sub(rb"Content-Length: \d+", b"Content-Length: -1", whole),
        "another method in CSeq": whole.replace(b"1 INVITE", b"1 BYE"),
        "a CSeq too large": whole.replace(b"1 INVITE", b"99999999999999999999 INVITE"),
        "an answer to nothing": b"SIP/2.0 200 OK\r\n" + head.partition(b"\r\n")[2] + b"\r\n\r\n",
        "SDP of noise": head + b"\r\n\r\n" + bytes(range(256)) * 2,
        "SDP with no port": whole.replace(b"m=audio 40000", b"m=audio 99999999"),
        "SDP with no address": whole.replace(b"c=IN IP4 127.0.0.1", b"c=IN IP4 " + b"9" * 3_000),
        "SDP without lines": whole.replace(body, b"v=0\r\n"),
    }
