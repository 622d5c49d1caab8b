"""One endpoint as an operation: its parameters, its body, and every answer it may give."""

import re
from collections.abc import Iterator, Sequence
from inspect import cleandoc
from typing import Final

import msgspec

from vnum.api.bodies import Nothing
from vnum.api.endpoint import Endpoint, Told
from vnum.api.idempotency import HEADER, MOST_CHARACTERS, REPLAYED
from vnum.api.openapi.codes import codes_of
from vnum.api.openapi.examples import NoExample, check, example_of, in_path
from vnum.api.openapi.schemas import Json, Struct, resolved, without_null
from vnum.api.problems import CONTENT_TYPE, STATUS

_JSON: Final = "application/json"
_CSV: Final = "text/csv"
_REASONS: Final = {200: "Done", 201: "Made"}
_IN_PATH: Final = re.compile(r"\{(\w+)\}")
_OF_STATUS: Final = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}
"""The header that comes with a refusal."""


class Lacking(Exception):
    """An endpoint that does not say enough of itself to be described; the message says what is missing, and where."""


class Operations:
    """Makes operations, with the schemas that all of them share."""

    def __init__(self, schemas: dict[Struct, Json], components: Json) -> None:
        self._schemas = schemas
        self._components = components

    def operation(self, endpoint: Endpoint) -> Json:
        """Raises Lacking."""
        named = f"{endpoint.method} {endpoint.path}"
        told = endpoint.told
        if told is None or (told.gives is None and not told.sends):
            raise Lacking(f"{named}: declare what it answers, with @answers(...) at the method that runs it")
        if unknown := [code for code in (*told.refuses, *told.within) if code not in STATUS]:
            raise Lacking(f"{named}: no code: {', '.join(unknown)}; codes stand in vnum/api/problems.py")
        summary, rest = _split(cleandoc(endpoint.run.__doc__ or ""))
        if not summary:
            raise Lacking(f"{named}: the method that runs it has no docstring")
        try:
            return {
                "operationId": operation_id(endpoint),
                "tags": [tag_of(endpoint)],
                "summary": summary.rstrip("."),
                "description": "\n\n".join([*_prose(rest), *_facts(endpoint, told)]),
                "x-roles": sorted(endpoint.roles),
                "x-codes-within": sorted(set(told.within)),
                "security": [{"key": []}] if endpoint.roles else [],
                **_some("parameters", [*_path(endpoint), *self._query(endpoint, told), *_headers(endpoint)]),
                **self._body(endpoint, told),
                "responses": {**self._answers(endpoint, told), **_refusals(endpoint)},
            }
        except NoExample as error:
            raise Lacking(f"{named}: {error}") from error

    def _query(self, endpoint: Endpoint, told: Told) -> Iterator[Json]:
        """What stands in the query, by the fields of its struct."""
        if endpoint.has_body:
            return
        schema = resolved(self._schemas[endpoint.takes], self._components)
        example = told.example or example_of(endpoint.takes)
        for name, field in schema["properties"].items():
            shown = without_null(field)
            yield {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", []),
                **({"description": shown["description"]} if "description" in shown else {}),
                "schema": shown,
                **({"example": example[name]} if name in example else {}),
            }

    def _body(self, endpoint: Endpoint, told: Told) -> Json:
        if endpoint.file:
            if told.file is None:
                raise NoExample("give a file to show: @answers(..., file=...)")
            return {
                "requestBody": {
                    "required": True,
                    "content": {_CSV: {"schema": {"type": "string"}, "example": told.file}},
                }
            }
        if not endpoint.has_body or endpoint.takes is Nothing:
            return {}
        example = told.example or example_of(endpoint.takes)
        try:
            check(example, endpoint.takes)
        except msgspec.ValidationError as error:
            raise NoExample(f"its example is no {endpoint.takes.__name__}: {error}") from error
        content = {_JSON: {"schema": self._schemas[endpoint.takes], "example": example}}
        return {"requestBody": {"required": True, "content": content}}

    def _answers(self, endpoint: Endpoint, told: Told) -> Json:
        content: Json = {kind: {"schema": {}} for kind in told.sends}
        if told.gives is not None:
            content[_JSON] = {"schema": self._schemas[told.gives], "example": example_of(told.gives)}
        headers = {}
        if endpoint.repeatable:
            headers[REPLAYED] = {"$ref": f"#/components/headers/{REPLAYED}"}
        if endpoint.roles and told.sends and told.gives is None:
            headers["Content-Disposition"] = {"$ref": "#/components/headers/Content-Disposition"}
        return {
            str(status): {"description": _REASONS[status], **_some("headers", headers), "content": content}
            for status in told.status
        }


def operation_id(endpoint: Endpoint) -> str:
    return endpoint.run.__qualname__.lower().replace(".", "_")


def tag_of(endpoint: Endpoint) -> str:
    """The noun."""
    return endpoint.run.__qualname__.partition(".")[0]


def _split(text: str) -> tuple[str, str]:
    """(summary, rest): the first line, less a sentence that goes on in the next; or the one long sentence."""
    line, _, rest = text.partition("\n")
    if line.endswith(".") or not rest.strip() or rest.startswith("\n"):
        return line, rest
    paragraph, _, others = text.partition("\n\n")
    joined = " ".join(paragraph.split())
    end = line.rfind(". ") if ". " in line else joined.find(". ")
    cut = end + 1 if end >= 0 else len(joined)
    return joined[:cut], f"{joined[cut:].strip()}\n\n{others}"


def _prose(rest: str) -> list[str]:
    return [" ".join(part.split()) for part in rest.split("\n\n") if part.strip()]


def _facts(endpoint: Endpoint, told: Told) -> Iterator[str]:
    roles = ", ".join(f"`{role}`" for role in sorted(endpoint.roles))
    yield f"Roles: {roles}." if roles else "Without a key."
    if told.within:
        codes = ", ".join(f"`{code}`" for code in dict.fromkeys(told.within))
        yield f"Codes that may stand within the answer: {codes}."


def _path(endpoint: Endpoint) -> Iterator[Json]:
    for name in _IN_PATH.findall(endpoint.path):
        schema: Json = {"type": "string", "minLength": 1}
        yield {"name": name, "in": "path", "required": True, "schema": schema, "example": in_path(name)}


def _headers(endpoint: Endpoint) -> Iterator[Json]:
    if endpoint.repeatable:
        yield {"$ref": "#/components/parameters/IdempotencyKey"}


def _refusals(endpoint: Endpoint) -> Json:
    return {
        str(status): {"$ref": f"#/components/responses/{refusal_name(codes)}"}
        for status, codes in codes_of(endpoint).items()
    }


def refusal_name(codes: list[str]) -> str:
    """Of the answer that carries one of these codes."""
    return "-or-".join(codes)


def refusals_of(endpoints: Sequence[Endpoint]) -> Json:
    """Every refusal that operations refer to, by name."""
    answers = [answer for endpoint in endpoints for answer in codes_of(endpoint).items()]
    return {refusal_name(codes): _refusal(status, codes) for status, codes in answers}


def _refusal(status: int, codes: list[str]) -> Json:
    header = _OF_STATUS.get(status)
    return {
        "description": ", ".join(f"`{code}`" for code in codes),
        **_some("headers", {header: {"$ref": f"#/components/headers/{header}"}} if header else {}),
        "content": {
            CONTENT_TYPE: {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Problem"},
                        {"properties": {"status": {"const": status}, "code": {"enum": codes}}},
                    ]
                },
                "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
            }
        },
    }


def _some(name: str, value: Json | list[Json]) -> Json:
    return {name: value} if value else {}


IDEMPOTENCY_KEY: Final[Json] = {
    "name": HEADER,
    "in": "header",
    "description": (
        "1 to 200 printable ASCII characters, for instance `bind-A1001`. The same request under it within 24 hours is "
        "answered as the first time, and nothing is done again"
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": MOST_CHARACTERS, "pattern": "^[ -~]+$(?!\\n)"},
}
