"""Whether this process lives, and whether it can serve."""

import msgspec
from aiohttp import hdrs, web

from vnum.api.answers import Answer, json_answer
from vnum.api.auth import ANYONE
from vnum.api.bodies import Nothing
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.api.problems import Problem, problem
from vnum.engine import Engine
from vnum.meters import CONTENT_TYPE, exposition
from vnum.model.refusals import Code


class Alive(msgspec.Struct, frozen=True):
    status: str = "ok"


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """redis "down" costs speed only."""

    status: str = "ready"
    postgres: str
    migrated: bool
    redis: str


class NotReady(Problem, kw_only=True, omit_defaults=True):
    postgres: str
    migrated: bool
    redis: str


class Health:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/healthz", ANYONE, self.alive),
            Endpoint("GET", "/readyz", ANYONE, self.ready),
            Endpoint("GET", "/metrics", ANYONE, self.metrics),
        ]

    @answers(Alive)
    async def alive(self, call: Call, asked: Nothing) -> Answer:
        """200 for as long as the process answers."""
        return json_answer(200, Alive())

    @answers(sends=("text/plain",))
    async def metrics(self, call: Call, asked: Nothing) -> web.Response:
        """Counts and times in Prometheus' text format; of all workers together."""
        return web.Response(body=exposition(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})

    @answers(Ready)
    async def ready(self, call: Call, asked: Nothing) -> Answer:
        """200 when PostgreSQL answers and is migrated, else 503."""
        seen = await self._engine.health.look()
        facts = msgspec.structs.asdict(seen)
        if seen.ready:
            return json_answer(200, Ready(**facts))
        what = "PostgreSQL does not answer" if seen.postgres == "down" else "the schema is not migrated"
        refused = msgspec.structs.asdict(problem(Code.STORE_UNAVAILABLE, what))
        return json_answer(503, NotReady(**refused, **facts))
