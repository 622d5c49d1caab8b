"""Requests to every endpoint that there is, made from what the endpoint declares: nobody has to add his own.

Twice good (the fields that want a phone get a real one), and bad in each field: a phone where none belongs.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from vnum.api.endpoint import Endpoint
from vnum.api.openapi.examples import example_of

PHONES = re.compile(r"phone|caller|callee|recipient$")
"""Fields that are made for a phone."""


class Probe(msgspec.Struct, frozen=True):
    """`mistaken` = the number that stands where none belongs; None = a good request."""

    method: str
    path: str
    role: str | None
    json: Any = None
    data: bytes | None = None
    mistaken: str | None = None


def good(endpoint: Endpoint, known: dict[str, Any], phone: str) -> Probe:
    """As in the documentation, with ids that exist and a phone where one is asked for."""
    try:
        asked = example_of(endpoint.takes)
    except Exception:  # it has no example: an empty body is a probe as well
        asked = {}
    filled = _filled(asked, known, phone)
    return _probe(endpoint, _path(endpoint.path, known), filled, None)


def bad(endpoint: Endpoint, known: dict[str, Any], fresh: Any) -> Iterator[Probe]:
    """A number of its own in each field of body or query, in each part of the path, as the whole body, as a key."""
    try:
        asked = _filled(example_of(endpoint.takes), known, "")
    except Exception:
        asked = {}
    for name in [field.encode_name for field in msgspec.structs.fields(endpoint.takes)]:
        for wrap in (
            str,
            lambda number: f"+86 {number[:3]}-{number[3:7]} {number[7:]}",
            lambda number: [{number: number}],
        ):
            number = fresh()
            yield _probe(endpoint, _path(endpoint.path, known), {**asked, name: wrap(number)}, number)
    number = fresh()
    yield _probe(endpoint, _path(endpoint.path, known), {**asked, number: number}, number)
    for part in re.findall(r"\{(\w+)\}", endpoint.path):
        number = fresh()
        yield _probe(endpoint, _path(endpoint.path, known | {part: number}), asked, number)
    number = fresh()
    role = _role(endpoint)
    yield Probe(endpoint.method, _path(endpoint.path, known), role, data=f'"{number}"'.encode(), mistaken=number)
    number = fresh()
    yield Probe(endpoint.method, _path(endpoint.path, known), number, json=asked, mistaken=number)


def _probe(endpoint: Endpoint, path: str, asked: dict[str, Any], mistaken: str | None) -> Probe:
    if endpoint.has_body:
        return Probe(endpoint.method, path, _role(endpoint), json=asked, mistaken=mistaken)
    query = "&".join(f"{name}={_text(value)}" for name, value in asked.items())
    data = f"call_id,caller\nx,{mistaken or ''}\n".encode() if endpoint.file else None
    return Probe(endpoint.method, f"{path}?{query}", _role(endpoint), data=data, mistaken=mistaken)


def _text(value: Any) -> str:
    return str(value).replace("+", "%2B").replace(" ", "%20").replace("&", "%26")


def _role(endpoint: Endpoint) -> str | None:
    """Who may see most."""
    roles = sorted(endpoint.roles)
    return None if not roles else "admin" if "admin" in roles else str(roles[0])


def _path(path: str, known: dict[str, Any]) -> str:
    return re.sub(r"\{(\w+)\}", lambda part: str(known.get(part[1], "x")), path)


def _filled(asked: Any, known: dict[str, Any], phone: str) -> Any:
    if isinstance(asked, list):
        return [_filled(one, known, phone) for one in asked]
    if not isinstance(asked, dict):
        return asked
    return {
        name: phone if PHONES.search(name) and isinstance(value, str) else known.get(name, _filled(value, known, phone))
        for name, value in asked.items()
    }
