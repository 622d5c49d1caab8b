"""The description of the API: valid, whole, and the same as the file that is checked in."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import MagicMock

import jsonschema_rs
import msgspec
import pytest
import schemathesis

from vnum.api.answers import Answer, json_answer
from vnum.api.app import endpoints
from vnum.api.auth import ADMINS
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.api.openapi import Lacking, describe
from vnum.api.problems import STATUS, EdgeCode

from .conftest import World

ROOT = Path(__file__).parents[2]
ENDPOINTS = endpoints(MagicMock())
DOCUMENT: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(describe(ENDPOINTS)))
RESPONSES = DOCUMENT["components"]["responses"]
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}


def test_the_file_is_made_from_the_code() -> None:
    code = "import api_page; print(api_page.openapi(), end='')"
    made = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True, check=True
    )
    assert made.stdout == (ROOT / "docs/openapi.json").read_text(), "run scripts/api_page.py"


def test_it_is_a_valid_document() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(ids) == len(set(ids))
    for reference in references(DOCUMENT):
        found: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [one for part in node for one in references(part)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [one for part in node.values() for one in references(part)]


async def test_it_is_served_to_anyone(world: World) -> None:
    reply = await world.get("/openapi.json", role=None)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert json.loads(reply.raw) == DOCUMENT


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: f"{one.method} {one.path}")
def test_every_endpoint_is_described(endpoint: Endpoint) -> None:
    operation = OPERATIONS[f"{endpoint.method} {endpoint.path}"]
    assert bool(operation["security"]) == bool(endpoint.roles)
    assert all(f"`{role}`" in operation["description"] for role in endpoint.roles)
    assert endpoint.told is not None
    told = {*operation["responses"]}
    assert {str(status) for status in endpoint.told.status} <= told
    assert {str(STATUS[code]) for code in endpoint.told.refuses} <= told
    if endpoint.has_body:
        assert {"413", "415"} <= told


def bodies(operation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(what it is, its media type object) of every JSON body in or out."""
    parts = [("request", operation.get("requestBody", {"content": {}}))]
    for status, answer in operation["responses"].items():
        shared = answer.get("$ref", "").rpartition("/")[2]
        parts.append((status, RESPONSES[shared] if shared else answer))
    return [
        (f"{what} {kind}", media)
        for what, part in parts
        for kind, media in part["content"].items()
        if kind.endswith("json") and media["schema"]
    ]


@pytest.mark.parametrize("name", OPERATIONS)
def test_examples_are_what_they_are_examples_of(name: str) -> None:
    for what, media in bodies(OPERATIONS[name]):
        values = [media["example"]] if "example" in media else []
        named = [DOCUMENT["components"]["examples"][code] for code in media.get("examples", ())]
        values += [one["value"] for one in named]
        assert values, f"{name}: {what} has no example"
        schema = {**media["schema"], "components": DOCUMENT["components"]}
        for value in values:
            jsonschema_rs.validator_for(schema, validate_formats=True).validate(value)


def test_every_code_of_the_table_is_told_somewhere() -> None:
    """But those that a request can not meet: a method that is not there, and what ends a command line."""
    told = json.dumps([DOCUMENT["paths"], RESPONSES])
    elsewhere = {EdgeCode.METHOD_NOT_ALLOWED, "schema_invalid", "migration_changed", "migration_unknown"}
    assert {code for code in STATUS if f'"{code}"' not in told and f"`{code}`" not in told} == elsewhere


def lacking(*, declared: bool = True, **more: Any) -> str:
    """What is said of an endpoint that lacks something."""

    async def run(call: Call, asked: Any) -> Answer:
        """Runs."""
        return json_answer(200, None)

    if declared:
        run = answers(**more)(run)
    endpoint = Endpoint("GET", "/v1/things", ADMINS, run)
    with pytest.raises(Lacking) as caught:
        describe([endpoint])
    return str(caught.value)


class Unnamed(msgspec.Struct):
    thing_id: str


class Shy(msgspec.Struct):
    shown: ClassVar[tuple[str, ...]] = ()
    either: int | None = None

    def __post_init__(self) -> None:
        if self.either is None:
            raise ValueError("give either")


def test_an_endpoint_that_lacks_something_is_told_what() -> None:
    assert lacking(declared=False) == (
        "GET /v1/things: declare what it answers, with @answers(...) at the method that runs it"
    )
    assert "no example: name a value in vnum/api/openapi/examples.py" in lacking(gives=Unnamed)
    assert "the example of Shy is no such struct: give either" in lacking(gives=Shy)
    assert "no code: no_such_thing" in lacking(gives=Unnamed, refuses=("no_such_thing",))


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_summary_stops_in_the_middle_of_a_sentence(name: str) -> None:
    first, operation = OPERATIONS[name]["description"][0], OPERATIONS[name]
    assert not first.islower(), f"{operation['summary']} / {operation['description']}"


def test_every_part_of_a_path_has_an_example() -> None:
    """Else the page marks the field red, and sends nothing."""
    parts = [one for each in OPERATIONS.values() for one in each.get("parameters", ()) if one.get("in") == "path"]
    assert parts
    assert [one["name"] for one in parts if not one.get("example")] == []


def test_a_key_that_is_tried_out_as_it_stands_is_tied() -> None:
    body = OPERATIONS["POST /v1/keys"]["requestBody"]["content"]["application/json"]["example"]
    assert body == {"role": "merchant", "merchants": ["shop-1"]}
