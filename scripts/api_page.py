"""Writes docs/openapi.json and, out of the same description, docs/api.md. Tests hold both against the code.

python scripts/api_page.py
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import msgspec
import signing_section

from vnum.api.app import endpoints
from vnum.api.openapi import describe
from vnum.api.problems import STATUS, EdgeCode
from vnum.model.refusals import Code, Shortage

DOCS = Path(__file__).resolve().parents[1] / "docs"
JSON = "application/json"
HEAD = """# HTTP API

This page is made from the code by `scripts/api_page.py`, and so is `docs/openapi.json`, the description of the API for programs (OpenAPI 3.1). A server answers it at `GET /openapi.json`, and at `GET /docs` with examples, every code of every call, and a way to try calls out; neither needs a key. A first path by curl: `docs/quickstart.md`.

JSON in snake_case, `Content-Type: application/json`. Times are RFC 3339, answered in UTC; input without an offset is refused. Money is a plain decimal string without trailing zeros, `amount_due` has two places. Errors are `application/problem+json` with a stable `code`, a `detail` for people and, for `no_number_available`, a `reason`. `Authorization: Bearer <key>`; keys come from `vnum keys add` (or `make serve`).

Every POST takes an `Idempotency-Key` (1 to 200 printable characters, kept for 24 hours, scoped by key and path): the same body again gets the kept answer, another body 422 `idempotency_mismatch`. Only `POST /v1/reconciliations` takes none: it changes nothing, and its body is a file (`text/csv`, at most 256 MiB; its formats are in `docs/carriers.md`).

Keys of merchants and finance may be tied to merchants, a courier's to a carrier. An ISV's key sees the merchants that grant it so (`PUT /v1/merchants/{merchant_id}/grants/{isv}`, where `isv` is the key's id), and of those only the ones it is tied to, if any; a withdrawal is felt within 3 seconds. What a key may not see is not found.

A key sends up to a number of requests a second (`VNUM_RATE_PER_S`, or its own); above that comes 429 `rate_limited`, and `Retry-After` says for how many seconds to wait. Too many requests with wrong keys from one address are answered so too. A body must come within seconds (408 `body_timeout`), has at most 2 MiB (413), a batch at most 1,000 items; the request line and a header have at most 8,190 bytes. A request that takes too long is given up (503 `request_timeout`; repeat it, under its `Idempotency-Key` if it had one).

Every answer has an `X-Request-Id`: the caller's own, if it sent one of 1 to 64 characters of `A-Za-z0-9._-` that is no phone, else one of ours. It stands in the log and in the audit.

A key made with `signed` never sends its secret: it signs each request; see [Signing](#signing).

Items of batches are answered in order; where a result has a `status`, it is the HTTP code that the item alone would have got. Lists have a `next` when there is more: it goes into `after`. What is empty may be left out of an answer.

Who rang is told to nobody; a review shows the caller as 138****0000. A wrong extension may be keyed three times a call (counted once per call and digits); ten within an hour, by one caller on one host, lock him out there for a day. Callers who withhold their number are counted together: a hundred lock them out for ten minutes. Every refused extension counts, whatever the code, and is answered alike: `docs/calls.md`.
"""


class Page:
    """The description in words."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._schemas = document["components"]["schemas"]
        self._operations = {
            f"{method.upper()} {path}": operation
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        }

    def text(self) -> str:
        return "\n".join([HEAD, signing_section.TEXT, *self._routes(), *self._fields(), *_codes()]) + "\n"

    def _routes(self) -> Iterator[str]:
        yield "## Routes\n"
        yield "| method and path | roles | what |"
        yield "|---|---|---|"
        for name, operation in self._operations.items():
            yield f"| `{name}` | {', '.join(operation['x-roles']) or 'anyone'} | {operation['summary']} |"
        yield ""

    def _fields(self) -> Iterator[str]:
        yield "## Fields\n"
        for name, operation in self._operations.items():
            query = [one for one in operation.get("parameters", ()) if one.get("in") == "query"]
            body = operation.get("requestBody", {}).get("content", {}).get(JSON)
            answers = [answer for status, answer in operation["responses"].items() if status < "300"]
            given = answers[0]["content"].get(JSON, {}).get("schema", {})
            if not (query or body or given):
                continue
            yield f"### `{name}`\n"
            if query:
                required = [one["name"] for one in query if one["required"]]
                yield from self._table("query", {one["name"]: one["schema"] for one in query}, required)
            if body:
                yield from self._struct("body", body["schema"])
            if given:
                yield f"Answer: {self._shape(given)}\n"

    def _struct(self, what: str, schema: dict[str, Any]) -> Iterator[str]:
        found = self._found(schema)
        yield from self._table(what, found["properties"], found.get("required", []))
        for name, field in found["properties"].items():
            if field.get("type") == "array" and "properties" in self._found(field["items"]):
                yield from self._struct(f"each of `{name}`", field["items"])

    def _table(self, what: str, fields: dict[str, Any], required: list[str]) -> Iterator[str]:
        yield f"| {what} | type | default |"
        yield "|---|---|---|"
        for name, field in fields.items():
            yield f"| `{name}` | {self._words(field)} | {_default(field, name in required)} |"
        yield ""

    def _shape(self, schema: dict[str, Any]) -> str:
        """`{names}`, and those of what is listed."""
        fields = self._found(schema).get("properties", {})
        listed = [
            f"each of `{name}` {self._shape(field['items'])}"
            for name, field in fields.items()
            if field.get("type") == "array" and "properties" in self._found(field["items"])
        ]
        return "; ".join([f"`{{{', '.join(fields)}}}`", *listed])

    def _found(self, schema: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self._schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        return found

    def _words(self, field: dict[str, Any]) -> str:
        kind = self._found(field)
        if "anyOf" in kind:
            return " or ".join(self._words(one) for one in kind["anyOf"])
        if "enum" in kind:
            return ", ".join(f"`{value}`" for value in kind["enum"])
        if "properties" in kind:
            return "{" + ", ".join(kind["properties"]) + "}"
        if kind.get("format") in _FORMATS:
            return _FORMATS[kind["format"]]
        match kind.get("type"):
            case "string":
                return (
                    f"text, {kind.get('minLength', 0)} to {kind['maxLength']} characters"
                    if "maxLength" in kind
                    else "text"
                )
            case "integer":
                return f"number, {kind['minimum']} to {kind['maximum']}" if "maximum" in kind else "number"
            case "array":
                most = kind.get("maxItems")
                many = f"list of {kind.get('minItems', 0)} to {most}" if most else "list"
                return many if "properties" in self._found(kind["items"]) else f"{many}: {self._words(kind['items'])}"
        return _TYPES.get(kind.get("type", ""), "any")


_FORMATS = {
    "date-time": "time with offset",
    "date": "date, as 2026-10-05",
    "uuid": "id",
    "decimal": "amount as text",
}
_TYPES = {"boolean": "true or false", "null": "null"}


def _default(field: dict[str, Any], required: bool) -> str:
    if required:
        return "required"
    value = field.get("default")
    return "none" if value is None else f"`{msgspec.json.encode(value).decode().strip(chr(34))}`"


def _codes() -> Iterator[str]:
    yield "## Codes\n"
    yield "A 503 may be repeated as it is; a 4xx and a 501 may not.\n"
    yield "| HTTP | codes |"
    yield "|---|---|"
    known = [*Code, *EdgeCode]
    for status in sorted(set(STATUS.values())):
        codes = ", ".join(f"`{code}`" for code in known if STATUS.get(code) == status)
        yield f"| {status} | {codes} |"
    yield ""
    yield f"`reason` of `no_number_available`: {', '.join(f'`{reason}`' for reason in Shortage)}."
    yield ""
    yield (
        "Route answers 200 with an `action`: `collect` (with `digits` to collect), `connect` (with `callee`, "
        "`display_number`, `max_seconds`) or `reject` (with a Q.850 `cause` and a `code`; one with `digits` leaves the "
        "call another try). A record's `status` is "
        "`rated`, `duplicate`, `conflict` or `rejected`; the last two are kept, sealed, for a "
        "decision (`GET /v1/calls/reviews`), and may be sent again."
    )


def page() -> str:
    return Page(_document()).text()


def openapi() -> str:
    return msgspec.json.format(msgspec.json.encode(_document()), indent=1).decode() + "\n"


def _document() -> dict[str, Any]:
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(describe(endpoints(MagicMock()))))
    return document


if __name__ == "__main__":
    (DOCS / "openapi.json").write_text(openapi(), encoding="utf-8")
    (DOCS / "api.md").write_text(page(), encoding="utf-8")
    print(f"openapi.json and api.md written in {DOCS}")
