"""What callers send, decoded and validated in one pass; what is wrong is told by field, and never quoted."""

import asyncio
import re
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web
from msgspec import inspect

from vnum.api.deadlines import SlowBody
from vnum.model.refusals import Code, Refused

T = TypeVar("T")

MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_PLACED: Final = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<where>[^`]*)`)?", re.DOTALL)
_UNKNOWN_FIELD: Final = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING_FIELD: Final = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_HARMLESS: Final = re.compile(r"[a-z_]{1,40}", re.ASCII)
_STEP: Final = re.compile(r"\w+", re.ASCII)


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of requests that take neither body nor query."""


_PLAIN = {
    "matching regex '^[0-9]{4}-": "a month is written YYYY-MM, as in 2026-10",
    "matching regex": "must not be empty, and without line breaks or other control characters",
    "encoded datetime": "a time is written with its offset, as in 2026-10-05T12:00:00+08:00 or ...Z",
    "encoded date": "a date is written YYYY-MM-DD, as in 2026-10-05",
    "with a timezone component": "a time needs its offset, as in 2026-10-05T12:00:00+08:00 or ...Z",
    "Input data was truncated": "the body is empty, or its JSON ends too early",
}
"""What msgspec says, where people would not understand it."""


async def read_body(request: web.Request, patience_s: float) -> bytes:
    """The whole body. Raises Refused (invalid_request), SlowBody, HTTPRequestEntityTooLarge."""
    try:
        if request.content.is_eof():  # it came with its head, as most do: no timer is needed
            return await request.read()
        async with asyncio.timeout(patience_s):
            return await request.read()
    except TimeoutError:
        raise SlowBody from None
    except ConnectionError:
        raise Refused(Code.INVALID_REQUEST, "the body broke off") from None


def decode(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    """Raises Refused (invalid_request)."""
    try:
        return decoder.decode(body)
    except MALFORMED as error:
        raise Refused(Code.INVALID_REQUEST, explain(error, decoder.type)) from None


def read_query(query: Mapping[str, str], kind: type[T]) -> T:
    """The query parameters as a struct; what is there has a value. Raises Refused (invalid_request)."""
    try:
        asked = msgspec.convert(dict(query), kind, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(Code.INVALID_REQUEST, explain(error, kind, "parameter")) from None
    struct: Any = kind
    for name, field in _fields(struct).items():
        if name in query and getattr(asked, field) is None:
            raise Refused(Code.INVALID_REQUEST, f"{name}: null is no value; leave it out")
    return asked


@cache
def _fields(kind: Any) -> dict[str, str]:
    """The name of each field of a struct, by the name that callers know."""
    return dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))


def storable(text: str) -> bool:
    """Whether a text out of a path can be a name at all."""
    return text.isprintable() and len(text) <= 64


def explain(error: Exception, kind: Any, noun: str = "field") -> str:
    """`field: what is wrong with it`, in msgspec's words, less any value that was sent. `noun` = what it is called."""
    if isinstance(error, UnicodeDecodeError):
        return "the text is not UTF-8"
    if isinstance(error, RecursionError):
        return "the JSON is nested too deeply"
    match = _PLACED.fullmatch(str(error))
    assert match is not None
    what, where = match["what"], match["where"]
    if what.startswith("Invalid enum value"):
        what = f"must be one of {', '.join(_choices(kind, tuple(_STEP.findall(where or ''))))}"
    elif unknown := _UNKNOWN_FIELD.fullmatch(what):
        name = unknown["name"] if _HARMLESS.fullmatch(unknown["name"]) else "of another name"
        there_are = ", ".join(_names(kind, tuple(_STEP.findall(where or "")))) or "none"
        what = f"there is no {noun} {name}; there are: {there_are}"
    elif missing := _MISSING_FIELD.fullmatch(what):
        what = f"{noun} {missing['name']} is missing"
    else:
        what = next((plain for part, plain in _PLAIN.items() if part in what), what)
    return f"{where}: {what}" if where else what


@cache
def _choices(kind: Any, path: tuple[str, ...]) -> list[str]:
    """The values allowed at a path such as ("items", "0", "state") of a type."""
    return [str(value) for value in _values(_at(inspect.type_info(kind), path))]


@cache
def _names(kind: Any, path: tuple[str, ...]) -> list[str]:
    """The fields of the struct at a path of a type."""
    structs = [part for part in _parts(_at(inspect.type_info(kind), path)) if isinstance(part, inspect.StructType)]
    return list(dict.fromkeys(field.encode_name for struct in structs for field in struct.fields))


def _at(info: inspect.Type, path: tuple[str, ...]) -> inspect.Type:
    for step in path:
        for part in _parts(info):
            if isinstance(part, inspect.StructType):
                fields = {field.encode_name: field.type for field in part.fields}
                info = fields.get(step, info)
            elif isinstance(part, inspect.ListType):
                info = part.item_type
    return info


def _values(info: inspect.Type) -> list[object]:
    values: list[object] = []
    for part in _parts(info):
        if isinstance(part, inspect.EnumType):
            values += [member.value for member in part.cls if isinstance(member, Enum)]
        elif isinstance(part, inspect.LiteralType):
            values += part.values
    return values


def _parts(info: inspect.Type) -> tuple[inspect.Type, ...]:
    if isinstance(info, inspect.Metadata):
        return _parts(info.type)
    return info.types if isinstance(info, inspect.UnionType) else (info,)
