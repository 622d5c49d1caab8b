"""Who sees what: every role, tied and not, at every endpoint, about his own merchant, a stranger's, and nobody's.

One rule: what is one's own works; what is a stranger's is answered exactly as what does not exist; and no answer to a
tied key has anything of a stranger's in it. It holds by the services alone, with PostgreSQL's row-level security taken
away, and by PostgreSQL alone, with the services' checks taken away: each of the two would be enough.
"""

import io
import json
import zipfile
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import msgspec
import pypdfium2
import pytest
import pytest_asyncio

from tests.receiver import receiving
from vnum.api import endpoint as edge
from vnum.api.app import endpoints as declared_by
from vnum.api.auth import ANYONE
from vnum.api.endpoint import Endpoint
from vnum.model.call_policy import PlatformPolicy
from vnum.service.keys import Role
from vnum.service.route import Policy
from vnum.store.database import Database

from .conftest import Reply, Servers, World, opened_world, texts_by
from .matrix_rows import PATH, Row, rows_of
from .matrix_world import (
    ABSENT,
    CARRIERS,
    FOREIGN,
    GRANTED,
    ISVS_HOOKS,
    MERCHANTS,
    NARROWED,
    OWN,
    Things,
    tokens,
    two_merchants,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIDES = (OWN, FOREIGN, ABSENT)
_numbers = count(1)
UNCAPPED = PlatformPolicy(texts_per_hour=None, texts_per_day=None, all_texts_per_hour=None, all_texts_per_day=None)
"""Every actor texts the same recipient."""


class Actor(NamedTuple):
    """A key: its role, and what it is tied to; None = nothing. `sees` = which sides are his. `key` = what it is called
    in the world's keys, if it is there already."""

    role: Role | None
    tie: dict[str, Any] | None = None
    sees: tuple[str, ...] = (OWN, FOREIGN)
    key: str = ""

    @property
    def strange(self) -> list[str]:
        return [side for side in (OWN, FOREIGN) if side not in self.sees]

    def may(self, endpoint: Endpoint) -> bool:
        return endpoint.roles is ANYONE or self.role in endpoint.roles

    def __str__(self) -> str:
        tie = "" if self.tie is None else " of " + (" ".join(map(str, self.tie.values())) or "nobody")
        return f"{self.key or self.role or 'nobody'}{tie}"


ALPHA, NOBODYS = {"merchants": [MERCHANTS[OWN]]}, {"merchants": []}
UNTIED = [Actor(None, sees=()), *(Actor(role) for role in Role)]
TIED = [Actor(None, sees=()), *(Actor(role) for role in Role)]
LENT = {
    f"{Role.ISV} of granted {MERCHANTS[OWN]}": (GRANTED, {}),
    f"{Role.ISV} of {MERCHANTS[OWN]}": (NARROWED, {"hook": "narrow_hook", "spare_hook": "narrow_hook"}),
    str(Role.ISV): (Role.ISV, {"hook": "isv_hook", "spare_hook": "isv_hook"}),
}
"""ISVs' keys of the world, and by what names of things their own subscriptions go."""

TIED = [
    *(Actor(role, ALPHA, (OWN,)) for role in (Role.MERCHANT, Role.FINANCE)),
    *(Actor(Role.ISV, ALPHA, (OWN,), key) for key in (GRANTED, NARROWED)),
    *(Actor(role, NOBODYS, ()) for role in (Role.MERCHANT, Role.ISV, Role.FINANCE)),
    Actor(Role.COURIER, {"carrier": CARRIERS[OWN]}, (OWN,)),
    Actor(Role.COURIER, {"carrier": "none"}, ()),
]


class Matrix:
    """The world and what may be named in it; requests as the rows say."""

    def __init__(self, world: World, sides: dict[str, Things]) -> None:
        self.world = world
        self.sides = sides
        self.endpoints = declared_by(world.engine)
        self.hooks = {world.keys[name]: hook for name, hook in ISVS_HOOKS.items()}

    def things(self, side: str, key: str | None) -> Things:
        """What may be named, as the key names it: an ISV sees the subscriptions that he made."""
        things = self.sides[side]
        return things | {"hook": things[self.hooks[key]]} if key in self.hooks else things

    def rows(self) -> Iterator[tuple[Endpoint, Row]]:
        for endpoint in self.endpoints:
            for row in rows_of(f"{endpoint.method} {endpoint.path}"):
                yield endpoint, row

    async def ask(self, endpoint: Endpoint, row: Row, side: str, key: str | None) -> Reply:
        n = next(_numbers)
        things = self.things(side, key) | {"n": str(n), "n4": f"{n % 10_000:04}"}
        sent: dict[str, Any] = {"role": key}
        if row.file is not None:
            sent |= {"data": row.file, "headers": {"Content-Type": "text/csv"}}
        elif endpoint.method != "GET":
            sent["data"] = json.dumps(_filled(row.body or {}, things)).encode()
        if endpoint.method == "POST":
            sent["key"] = f"matrix {next(_numbers)}"
        return await self.world.call(endpoint.method, _filled(_template(endpoint, row), things), **sent)

    async def key_of(self, actor: Actor) -> str | None:
        if actor.role is None:
            return None
        if actor.tie is None or actor.key:
            return self.world.keys[actor.key or actor.role]
        return await self.world.key_of(actor.role, **actor.tie)

    async def all_of(self, side: str) -> dict[str, str]:
        """Every row of a merchant, in every table that has one, as text."""
        tables = await self.world.owner.fetch(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'merchant_id' "
            "WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        )
        rows = "SELECT string_agg(t::text, '; ' ORDER BY t::text) FROM {} t WHERE merchant_id = $1"
        return {
            table["relname"]: await self.world.owner.fetchval(rows.format(table["relname"]), MERCHANTS[side]) or ""
            for table in tables
        }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def matrix(endpoints: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Matrix]:
    folder: Path = tmp_path_factory.mktemp("matrix")
    async with (
        receiving() as gateway,
        opened_world(endpoints, folder, **texts_by(gateway, folder), policy=Policy(calls=UNCAPPED)) as world,
    ):
        yield Matrix(world, await two_merchants(world))


@pytest.fixture(params=["both guards", "the services alone", "PostgreSQL alone"])
def guards(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Takes one of the two guards of a tie away."""
    if request.param == "the services alone":
        monkeypatch.setattr(Database, "acquire", asyncpg.Pool.acquire)
    if request.param == "PostgreSQL alone":
        monkeypatch.setattr(edge, "Call", _seen_as_untied)
    return str(request.param)


def _seen_as_untied(request: Any, caller: Any, once: Any = None) -> edge.Call:
    """What the services are told of a tied key's request. Who acts stays as it is, and PostgreSQL goes by that."""
    return RealCall(request, msgspec.structs.replace(caller, merchants=None, carrier=None), once)


RealCall = edge.Call


async def test_every_endpoint_has_a_row(matrix: Matrix) -> None:
    for endpoint in matrix.endpoints:
        assert rows_of(f"{endpoint.method} {endpoint.path}")


@pytest.mark.parametrize("actor", TIED, ids=str)
async def test_a_tied_key(matrix: Matrix, actor: Actor, guards: str) -> None:
    key = await matrix.key_of(actor)
    before = {side: await matrix.all_of(side) for side in actor.strange}
    for endpoint, row in matrix.rows():
        if guards != "both guards" and row.slow:
            continue
        if guards == "PostgreSQL alone" and not (endpoint.method == "GET" or row.guarded):
            continue
        replies = {side: await matrix.ask(endpoint, row, side, key) for side in _asked(row)}
        what = (guards, str(actor), endpoint.method, endpoint.path, row)
        unguarded = row.untied and guards == "PostgreSQL alone"  # the refusal is the service's own: only look for leaks
        for side, reply in replies.items():
            if not actor.may(endpoint) or (row.untied and not unguarded):
                assert (reply.status, reply.code) == (403, "forbidden"), (*what, side, reply.body)
            elif not unguarded:
                assert reply.status < 500, (*what, side, reply.body)
                assert _shows_its_own(matrix, actor, row, side, reply), (*what, side, reply.status, reply.body)
            told = _told(actor, endpoint, row, matrix, side, key, reply)
            assert not told, (*what, side, told, reply.body)
        if ABSENT in replies and not row.nobodys and not unguarded:
            plain = {side: _plain(reply, matrix.things(side, key)) for side, reply in replies.items()}
            for side in actor.strange:
                assert plain[side] == plain[ABSENT], what
    assert {side: await matrix.all_of(side) for side in actor.strange} == before


async def test_without_either_guard_it_would_show(matrix: Matrix, monkeypatch: pytest.MonkeyPatch) -> None:
    """The matrix can fail: what it looks for is there to be found."""
    monkeypatch.setattr(Database, "acquire", asyncpg.Pool.acquire)
    monkeypatch.setattr(edge, "Call", _seen_as_untied)
    actor = Actor(Role.FINANCE, ALPHA, (OWN,))
    key, showing = await matrix.key_of(actor), set()
    for endpoint, row in matrix.rows():
        if endpoint.method == "GET" and actor.may(endpoint) and not row.slow:
            reply = await matrix.ask(endpoint, row, FOREIGN, key)
            if _told(actor, endpoint, row, matrix, FOREIGN, key, reply):
                showing.add(endpoint.path)
    assert {"/v1/calls", "/v1/disputes", "/v1/invoices", "/v1/invoices/{invoice_id}/export", "/v1/notes"} <= showing


@pytest.mark.parametrize("actor", UNTIED, ids=str)
async def test_a_key_that_is_not_tied(matrix: Matrix, actor: Actor) -> None:
    """Last, since what he may be rid of is gone then."""
    key = await matrix.key_of(actor)
    for endpoint, row in matrix.rows():
        for side in () if row.slow else _asked(row):
            reply = await matrix.ask(endpoint, row, side, key)
            what = (str(actor), endpoint.method, endpoint.path, row, side, reply.status, reply.body)
            assert reply.status < 500, what
            if not actor.may(endpoint):
                assert reply.status == (401 if actor.role is None else 403), what
            elif side != ABSENT:
                assert _works(reply, row), what


def _shows_its_own(matrix: Matrix, actor: Actor, row: Row, side: str, reply: Reply) -> bool:
    """What is one's own works; a list of all that one may see has something of one's own."""
    if row.whole:
        told = any(token in _text(reply) for token in tokens(matrix.sides[OWN]))
        return told or row.nobodys or row.rest or not actor.sees
    return side not in actor.sees or _works(reply, row)


def _told(
    actor: Actor, endpoint: Endpoint, row: Row, matrix: Matrix, side: str, key: str | None, reply: Reply
) -> list[str]:
    """What an answer says of those who are strange to the actor, besides what he asked for."""
    request = f"{_template(endpoint, row)} {row.body}"
    asked = {name: value for name, value in matrix.things(side, key).items() if f"{{{name}}}" in request}
    said = _without(_text(reply), asked)
    return [token for stranger in actor.strange for token in tokens(matrix.sides[stranger]) if token in said]


def _template(endpoint: Endpoint, row: Row) -> str:
    """Path and query, with the names of things in braces."""
    path = endpoint.path
    for part, named in {**PATH, **row.named}.items():
        path = path.replace(f"{{{part}}}", named)
    return path + row.query


def _asked(row: Row) -> tuple[str, ...]:
    if row.whole:
        return (OWN,)
    return (OWN, FOREIGN) if row.makes else SIDES


def _works(reply: Reply, row: Row) -> bool:
    """What was named was seen: 2xx, in a batch for the item too, or a refusal that says so."""
    if row.each and reply.status == 200:
        return bool(reply.body["results"][0]["status"] < 300)
    return reply.status < 300 or reply.code in row.also


def _filled(template: Any, things: Things) -> Any:
    if isinstance(template, dict):
        return {name: _filled(value, things) for name, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, things) for value in template]
    if not isinstance(template, str):
        return template
    for name, value in things.items():
        template = template.replace(f"{{{name}}}", value)
    return template


def _text(reply: Reply) -> str:
    """All that an answer says, also within files."""
    if reply.raw.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(reply.raw)) as book:
            return "\n".join(book.read(name).decode(errors="replace") for name in book.namelist())
    if reply.raw.startswith(b"%PDF"):
        return "\n".join(page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(reply.raw))
    return reply.raw.decode(errors="replace")


def _without(text: str, asked: Things) -> str:
    """An answer may repeat what was asked for."""
    for name in sorted(asked, key=lambda name: -len(asked[name])):
        if len(asked[name]) > 2:
            text = text.replace(asked[name], f"<{name}>")
    return text


def _plain(reply: Reply, asked: Things) -> tuple[int, str, str]:
    """Status, kind and text of an answer, with names in the place of what was asked for."""
    return reply.status, reply.headers.get("Content-Type", ""), _without(_text(reply), asked)
