"""The application: every endpoint, one place where exceptions become problems, and the care of the pool beside it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog
from aiohttp import hdrs, web

from vnum.api.answers import problem_answer, response_of
from vnum.api.attempts import Attempts
from vnum.api.audit import Audits
from vnum.api.auth import ANYONE
from vnum.api.bills import Bills
from vnum.api.bindings import Bindings
from vnum.api.blacklist import Blacklist
from vnum.api.call_policies import CallPolicies
from vnum.api.callers import Callers
from vnum.api.calls import Calls
from vnum.api.disputes import Disputes
from vnum.api.docs import add_docs
from vnum.api.endpoint import Endpoint, WrongMediaType, handler_of
from vnum.api.files import FileTooLarge
from vnum.api.health import Health
from vnum.api.hosts import Hosts
from vnum.api.idempotency import Repeats
from vnum.api.invoices import Invoices
from vnum.api.labels import Labels
from vnum.api.merchants import Merchants
from vnum.api.messages import Messages
from vnum.api.notes import Notes
from vnum.api.orders import Orders
from vnum.api.platform import Platform
from vnum.api.problems import EdgeCode, Problem, of_trouble, problem
from vnum.api.recipients import Recipients
from vnum.api.reconciliations import Reconciliations
from vnum.api.reviews import Reviews
from vnum.api.tariffs import Tariffs
from vnum.api.usage import Usages
from vnum.api.webhooks import Webhooks
from vnum.engine import Engine
from vnum.meters import REFUSALS, counted
from vnum.model.acting import apart

log = structlog.get_logger()

MOST_BYTES: Final = 2 * 1024 * 1024
TEND_S: Final = 30.0
TEND_LIMIT_S: Final = 300.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(engine: Engine) -> web.Application:
    """The API of an engine; it tends the pool for as long as it runs."""
    app = web.Application(middlewares=[_problems], client_max_size=MOST_BYTES)
    repeats = Repeats(engine.answers)
    declared = endpoints(engine)
    for endpoint in declared:
        handler = handler_of(endpoint, engine.keys, repeats, engine.audit, engine.registry.has)
        app.router.add_route(endpoint.method, endpoint.path, handler)
        if endpoint.roles is ANYONE:
            app.router.add_head(endpoint.path, handler)  # what load balancers ask
    add_docs(app, declared)
    app.cleanup_ctx.append(_tending(engine))
    return app


def endpoints(engine: Engine) -> list[Endpoint]:
    """In order of matching: of two paths that fit, the first counts."""
    nouns = (
        Bindings(engine),
        Calls(engine),
        Attempts(engine),
        Recipients(engine),
        Callers(engine),
        Blacklist(engine),
        CallPolicies(engine),
        Reviews(engine),
        Disputes(engine),
        Labels(engine),
        Orders(engine),
        Platform(engine),
        Merchants(engine),
        Tariffs(engine),
        Hosts(engine),
        Invoices(engine),
        Notes(engine),
        Reconciliations(engine),
        Bills(engine),
        Usages(engine),
        Webhooks(engine),
        Messages(engine),
        Audits(engine),
        Health(engine),
    )
    return [endpoint for noun in nouns for endpoint in noun.endpoints()]


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    began = time.perf_counter()
    resource = request.match_info.route.resource
    endpoint = f"{request.method} {resource.canonical}" if resource else "none"
    response: web.StreamResponse
    try:
        response = await handler(request)
    except Exception as trouble:
        problem = _problem_of(trouble)
        REFUSALS.labels(problem.code).inc()
        response = response_of(problem_answer(problem))
        if isinstance(trouble, web.HTTPMethodNotAllowed):
            response.headers[hdrs.ALLOW] = trouble.headers[hdrs.ALLOW]
    answers, seconds = counted(endpoint, response.status)
    answers.inc()
    seconds.observe(time.perf_counter() - began)
    return response


def _problem_of(trouble: Exception) -> Problem:
    if isinstance(trouble, WrongMediaType):
        return problem(EdgeCode.UNSUPPORTED_MEDIA_TYPE, f"send the body as {trouble}, not compressed")
    if isinstance(trouble, FileTooLarge):
        return problem(EdgeCode.BODY_TOO_LARGE, str(trouble))
    return of_trouble(trouble)


def _tending(engine: Engine) -> Callable[[web.Application], AsyncIterator[None]]:
    async def while_running(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(_tend(engine), context=apart())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    return while_running


async def _tend(engine: Engine) -> None:
    """Until cancelled. Trouble is for the next round: nothing here is needed at once."""
    while True:
        try:
            async with asyncio.timeout(TEND_LIMIT_S):
                await engine.care.tend()
        except Exception as trouble:
            log.warning("tend_failed", trouble=type(trouble).__name__)
        await asyncio.sleep(TEND_S)
