"""The application: every endpoint, one place where exceptions become problems, and the care of the pool beside it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from typing import Final

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from vnum.api.answers import problem_answer, response_of
from vnum.api.attempts import Attempts
from vnum.api.audit import Audits
from vnum.api.auth import ANYONE
from vnum.api.bills import Bills
from vnum.api.bindings import Bindings
from vnum.api.blacklist import Blacklist
from vnum.api.call_lives import CallLives
from vnum.api.call_policies import CallPolicies
from vnum.api.callers import Callers
from vnum.api.calls import Calls
from vnum.api.deadlines import USUAL, Deadlines, HttpLimits, SlowBody, TookTooLong
from vnum.api.dials import Dials
from vnum.api.disputes import Disputes
from vnum.api.docs import add_docs
from vnum.api.endpoint import Endpoint, WrongMediaType, handler_of
from vnum.api.files import FileTooLarge
from vnum.api.gate import Gate
from vnum.api.grants import Grants
from vnum.api.health import Health
from vnum.api.hosts import Hosts
from vnum.api.idempotency import Repeats
from vnum.api.invoices import Invoices
from vnum.api.keys import Keys
from vnum.api.labels import Labels
from vnum.api.merchants import Merchants
from vnum.api.messages import Messages
from vnum.api.notes import Notes
from vnum.api.orders import Orders
from vnum.api.platform import Platform
from vnum.api.problems import EdgeCode, Problem, of_trouble, problem
from vnum.api.recipients import Recipients
from vnum.api.reconciliations import Reconciliations
from vnum.api.request_ids import HEADER, known_as
from vnum.api.retention import Retentions
from vnum.api.reviews import Reviews
from vnum.api.subjects import Subjects
from vnum.api.tariffs import Tariffs
from vnum.api.usage import Usages
from vnum.api.webhooks import Webhooks
from vnum.engine import Engine
from vnum.meters import REFUSALS, counted
from vnum.model.acting import serve_request
from vnum.model.beside import beside
from vnum.model.refusals import RateLimited

log = structlog.get_logger()

MOST_BYTES: Final = 2 * 1024 * 1024
TEND_S: Final = 30.0
TEND_LIMIT_S: Final = 300.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(engine: Engine, limits: HttpLimits = USUAL) -> web.Application:
    """The API of an engine; it tends the pool for as long as it runs."""
    declared = endpoints(engine)
    deadlines = Deadlines(limits.request_s)
    patient = frozenset(f"{endpoint.method} {endpoint.path}" for endpoint in declared if endpoint.patient)
    app = web.Application(middlewares=[_edge(deadlines, patient)], client_max_size=MOST_BYTES)
    repeats = Repeats(engine.answers)
    gate = Gate(engine.keys, engine.signing, engine.limits, limits)
    for endpoint in declared:
        handler = handler_of(endpoint, gate, repeats, engine.audit, engine.registry.has)
        app.router.add_route(endpoint.method, endpoint.path, handler)
        if endpoint.roles is ANYONE:
            app.router.add_head(endpoint.path, handler)  # what load balancers ask
    add_docs(app, declared)
    app.cleanup_ctx.append(_running(partial(_tend, engine)))
    app.cleanup_ctx.append(_running(deadlines.watch))
    app.on_shutdown.append(partial(_let_go, engine))
    return app


def endpoints(engine: Engine) -> list[Endpoint]:
    """In order of matching: of two paths that fit, the first counts."""
    nouns = (
        Bindings(engine),
        Calls(engine),
        Attempts(engine),
        Dials(engine),
        Recipients(engine),
        Callers(engine),
        Blacklist(engine),
        CallPolicies(engine),
        Reviews(engine),
        Disputes(engine),
        CallLives(engine),
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
        Keys(engine),
        Grants(engine),
        Subjects(engine),
        Retentions(engine),
        Health(engine),
    )
    return [endpoint for noun in nouns for endpoint in noun.endpoints()]


def _edge(deadlines: Deadlines, patient: frozenset[str]) -> Middleware:
    """What every request goes through: its id, its time, and a problem for whatever is raised."""

    @web.middleware
    async def edge(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        resource = request.match_info.route.resource
        endpoint = f"{request.method} {resource.canonical}" if resource else "none"
        known = known_as(request.headers.get(HEADER))
        serve_request(known)
        response: web.StreamResponse
        try:
            if endpoint in patient:
                response = await handler(request)
            else:
                response = await _in_time(deadlines, began, request, handler)
        except Exception as trouble:
            response = _answer_of(trouble)
        if not response.prepared:
            response.headers[HEADER] = known
        answers, seconds = counted(endpoint, response.status)
        answers.inc()
        seconds.observe(time.perf_counter() - began)
        return response

    return edge


async def _in_time(deadlines: Deadlines, began: float, request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raises TookTooLong."""
    task = request.task
    deadlines.begin(task, began)
    try:
        return await handler(request)
    except asyncio.CancelledError:
        if deadlines.gave_up(task):
            raise TookTooLong from None
        raise
    finally:
        deadlines.end(task)


def _answer_of(trouble: Exception) -> web.Response:
    problem = _problem_of(trouble)
    REFUSALS.labels(problem.code).inc()
    response = response_of(problem_answer(problem))
    if isinstance(trouble, web.HTTPMethodNotAllowed):
        response.headers[hdrs.ALLOW] = trouble.headers[hdrs.ALLOW]
    if isinstance(trouble, RateLimited):
        response.headers[hdrs.RETRY_AFTER] = str(trouble.retry_s)
    if isinstance(trouble, SlowBody):
        response.force_close()  # the rest of the body may come yet, and is not the next request
    return response


def _problem_of(trouble: Exception) -> Problem:
    if isinstance(trouble, WrongMediaType):
        return problem(EdgeCode.UNSUPPORTED_MEDIA_TYPE, f"send the body as {trouble}, not compressed")
    if isinstance(trouble, FileTooLarge):
        return problem(EdgeCode.BODY_TOO_LARGE, str(trouble))
    if isinstance(trouble, SlowBody):
        return problem(EdgeCode.BODY_TIMEOUT, "the body did not come in time; send it again")
    if isinstance(trouble, TookTooLong):
        return problem(EdgeCode.REQUEST_TIMEOUT, "it took too long and was given up; repeat it, nothing is done twice")
    return of_trouble(trouble)


def _running(work: Callable[[], Coroutine[None, None, None]]) -> Callable[[web.Application], AsyncIterator[None]]:
    """Work that goes on for as long as the application."""

    async def while_running(_: web.Application) -> AsyncIterator[None]:
        async with beside(work):
            yield

    return while_running


async def _let_go(engine: Engine, _: web.Application) -> None:
    """Whoever waits for orders is answered, and holds nothing up."""
    await engine.dial_taker.close()


async def _tend(engine: Engine) -> None:
    """Until cancelled. Trouble is for the next round: nothing here is needed at once."""
    while True:
        try:
            async with asyncio.timeout(TEND_LIMIT_S):
                await engine.care.tend()
        except Exception as trouble:
            log.warning("tend_failed", trouble=type(trouble).__name__)
        await asyncio.sleep(TEND_S)
