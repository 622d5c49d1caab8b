"""SIP messages and SDP as far as a phone needs them (RFC 3261, RFC 4566), and a UDP port that speaks them.

A `Line` sends again what stays unanswered, repeats its own answer to a request that comes twice, and leaves the rest to
the call. What it sends and sees is kept with its time.
"""

import asyncio
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Address = tuple[str, int]
LOOPBACK = "127.0.0.1"
T1_S, T2_S, TRIES = 0.5, 4.0, 10
COMPACT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
    "c": "content-type",
}
EVENTS = 101
"""Our payload type of RFC 4733 events."""

CODECS = {"PCMU": 0, "PCMA": 8}


@dataclass(slots=True)
class Message:
    """A request or an answer; `at` in seconds since 1970, when it was sent or came."""

    first: str
    headers: list[tuple[str, str]]
    body: str = ""
    at: float = 0.0
    sent: bool = False

    @classmethod
    def parse(cls, data: bytes) -> "Message":
        """Raises ValueError."""
        head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
        first, *lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
        if "SIP/2.0" not in first:
            raise ValueError(f"not SIP: {first[:20]}")
        pairs = [line.partition(":") for line in lines]
        named = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
        headers = [(COMPACT.get(name, name), value) for name, value in named]
        return cls(first, [pair for pair in headers if pair[0] != "content-length"], body)

    def encode(self) -> bytes:
        lines = [self.first, *(f"{name.title()}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, f"Content-Length: {len(self.body.encode())}", "", self.body]).encode()

    def all(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header == name]

    def get(self, name: str) -> str:
        return next(iter(self.all(name)), "")

    @property
    def status(self) -> int | None:
        """None = a request."""
        return int(self.first.split()[1]) if self.first.startswith("SIP/2.0") else None

    @property
    def method(self) -> str:
        """Of an answer: that of its request."""
        return self.get("cseq").split()[-1] if self.status else self.first.split()[0]

    @property
    def number(self) -> int:
        return int(self.get("cseq").split()[0])

    @property
    def call_id(self) -> str:
        return self.get("call-id")

    @property
    def branch(self) -> str:
        return parameter(self.get("via"), "branch")

    @property
    def uri(self) -> str:
        return self.first.split()[1]

    @property
    def text(self) -> str:
        return self.encode().decode()


def parameter(value: str, name: str) -> str:
    found = re.search(rf";\s*{name}=([^;,>\s]+)", value)
    return found[1] if found else ""


def uri_in(value: str) -> str:
    found = re.search(r"<([^>]+)>", value)
    return found[1] if found else value.split(";")[0].strip()


def user_in(value: str) -> str:
    """The user part of the URI in a header, or of a URI."""
    found = re.match(r"sips?:([^@;>]+)@", uri_in(value))
    return found[1] if found else ""


def address_in(uri: str) -> Address:
    found = re.match(r"sips?:(?:[^@>]*@)?([\d.]+)(?::(\d+))?", uri_in(uri))
    assert found, f"no address in {uri}"
    return found[1], int(found[2] or 5060)


def routes_in(message: Message) -> list[str]:
    return [one for value in message.all("record-route") for one in re.findall(r"<[^>]+>[^,<]*", value)]


def token() -> str:
    return secrets.token_hex(6)


@dataclass(frozen=True, slots=True)
class Media:
    """What one side's SDP says: where it listens, its codecs in order, and its payload type of events."""

    address: Address
    payloads: tuple[int, ...]
    events: int | None

    @classmethod
    def parse(cls, sdp: str) -> "Media":
        host = re.search(r"^c=IN IP4 (\S+)", sdp, re.M)
        audio = re.search(r"^m=audio (\d+) \S+ ([\d ]+)", sdp, re.M)
        events = re.search(r"^a=rtpmap:(\d+) telephone-event/8000", sdp, re.M)
        assert host, sdp
        assert audio, sdp
        return cls((host[1], int(audio[1])), tuple(map(int, audio[2].split())), int(events[1]) if events else None)


def sdp(port: int, payloads: tuple[int, ...], events: int | None, host: str = LOOPBACK) -> str:
    names = {number: name for name, number in CODECS.items()}
    types = [*payloads, *([] if events is None else [events])]
    maps = [f"a=rtpmap:{number} {names[number]}/8000" for number in payloads]
    if events is not None:
        maps += [f"a=rtpmap:{events} telephone-event/8000", f"a=fmtp:{events} 0-15"]
    media = f"m=audio {port} RTP/AVP {' '.join(map(str, types))}"
    head = ["v=0", f"o=- {port} 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0", media]
    return "\r\n".join([*head, *maps, "a=ptime:20", "a=sendrecv", ""])


class Line(asyncio.DatagramProtocol):
    """One UDP port. `taken` is called with each message that is new, and where it came from."""

    transport: asyncio.DatagramTransport

    def __init__(self, taken: Callable[[Message, Address], None]) -> None:
        self._taken = taken
        self._answers: dict[tuple[str, str, int], tuple[bytes, Address] | None] = {}
        self._unanswered: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self.seen: list[Message] = []

    @classmethod
    async def open(cls, taken: Callable[[Message, Address], None], port: int = 0, host: str = LOOPBACK) -> "Line":
        loop = asyncio.get_running_loop()
        _, line = await loop.create_datagram_endpoint(lambda: cls(taken), (host, port))
        return line

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def close(self) -> None:
        for timer in self._unanswered.values():
            timer.cancel()
        self.transport.close()

    @property
    def address(self) -> Address:
        host, port = self.transport.get_extra_info("sockname")[:2]
        return host, port

    def datagram_received(self, data: bytes, source: Any) -> None:
        try:
            message = Message.parse(data)
        except ValueError:
            return  # a keep-alive
        message.at = time.time()
        self.seen.append(message)
        if message.status:
            self._heard_back(message)
        elif message.method != "ACK" and self._came_before(message):
            return
        self._taken(message, source)

    def _came_before(self, request: Message) -> bool:
        """A request that comes twice is answered as before; a CANCEL has its INVITE's branch, hence the method."""
        key = request.branch, request.method, request.number
        if key not in self._answers:
            self._answers[key] = None
            return False
        if (answer := self._answers[key]) is not None:
            self.transport.sendto(*answer)
        return True

    def _heard_back(self, answer: Message) -> None:
        if timer := self._unanswered.pop((answer.branch, answer.method), None):
            timer.cancel()

    def request(self, message: Message, to: Address) -> None:
        """Sent again until something is answered (ACK: once)."""
        self._send(message, to)
        if message.method != "ACK":
            self._again((message.branch, message.method), message.encode(), to, T1_S, TRIES)

    def answer(self, request: Message, answer: Message, to: Address) -> None:
        self._answers[request.branch, request.method, request.number] = answer.encode(), to
        self._send(answer, to)

    def _send(self, message: Message, to: Address) -> None:
        message.at, message.sent = time.time(), True
        self.seen.append(message)
        self.transport.sendto(message.encode(), to)

    def until_acknowledged(self, key: str, answer: Message, to: Address) -> None:
        """A 200 to INVITE is sent again until its ACK (`acknowledged`)."""
        self._again((key, "ACK"), answer.encode(), to, T1_S, TRIES)

    def acknowledged(self, key: str) -> None:
        if timer := self._unanswered.pop((key, "ACK"), None):
            timer.cancel()

    def _again(self, key: tuple[str, str], data: bytes, to: Address, wait_s: float, tries: int) -> None:
        def send() -> None:
            self.transport.sendto(data, to)
            self._again(key, data, to, min(2 * wait_s, T2_S), tries - 1)

        self._unanswered.pop(key, None)
        if tries:
            self._unanswered[key] = asyncio.get_running_loop().call_later(wait_s, send)
