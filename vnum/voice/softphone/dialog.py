"""What is sent and answered within one SIP dialog: its addresses, routes and numbers in each message (RFC 3261, 12)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vnum.voice.softphone.sip import Address, Line, Message, address_in, parameter, token

REASONS = {100: "Trying", 180: "Ringing", 200: "OK", 302: "Moved Temporarily", 481: "Call Does Not Exist",
           486: "Busy Here", 487: "Request Terminated", 603: "Decline"}  # fmt: skip


@dataclass
class Dialog:
    """One side of it; keeps every message it sent or saw."""

    line: Line
    number: str
    call_id: str
    local: str = ""
    remote: str = ""
    target: str = ""
    routes: list[str] = field(default_factory=list)
    sequence: int = 0
    seen: list[Message] = field(default_factory=list)

    def send(self, method: str, body: str = "", kind: str = "application/sdp", **more: str) -> Message:
        """A request within the dialog, with `more` headers, _ for -."""
        self.sequence += 1
        message = self.compose(method, body, kind)
        message.headers += named(more)
        self._go(message)
        return message

    def acknowledge(self, number: int, branch: str = "") -> None:
        """`number` = that of its INVITE, whose branch the ACK of a no has too."""
        self._go(self.compose("ACK", number=number, branch=branch))

    def _go(self, message: Message) -> None:
        self.seen.append(message)
        self.line.request(message, address_in(self.routes[0] if self.routes else self.target))

    def compose(
        self, method: str, body: str = "", kind: str = "application/sdp", *, number: int = 0, branch: str = ""
    ) -> Message:
        host, port = self.line.address
        headers = [
            ("via", f"SIP/2.0/UDP {host}:{port};rport;branch={branch or f'z9hG4bK{token()}'}"),
            ("max-forwards", "70"),
            *[("route", route) for route in self.routes],
            ("from", self.local),
            ("to", self.remote),
            ("call-id", self.call_id),
            ("cseq", f"{number or self.sequence} {method}"),
            ("contact", self.contact),
            *([("content-type", kind)] if body else []),
        ]
        return Message(f"{method} {self.target} SIP/2.0", headers, body)

    @property
    def contact(self) -> str:
        host, port = self.line.address
        return f"<sip:{self.number}@{host}:{port}>"

    def reply(self, request: Message, status: int, source: Address, body: str = "") -> Message:
        headers = [(name, value) for name, value in request.headers if name in ("via", "record-route")]
        mine = self.local if self.local and parameter(self.local, "tag") else request.get("to")
        headers += [("from", request.get("from")), ("to", mine), ("call-id", self.call_id)]
        headers += [("cseq", request.get("cseq")), ("contact", self.contact)]
        headers += [("content-type", "application/sdp")] if body else []
        answer = Message(f"SIP/2.0 {status} {REASONS[status]}", headers, body)
        self.seen.append(answer)
        self.line.answer(request, answer, source)
        return answer


def named(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Headers that are written as Python's names, with _ for -."""
    return [(name.replace("_", "-"), value) for name, value in headers.items()]
