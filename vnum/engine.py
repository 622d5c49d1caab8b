"""The composition root: builds every part from settings and servers. Tests call it with other parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from vnum.finance import FAPIAO_ITEM, Issuer
from vnum.model.call_policy import Policies
from vnum.model.retention import Keep
from vnum.outside.addresses import Reach
from vnum.outside.gateway import open_gateway
from vnum.pool.keys import Keys
from vnum.pool.redis_pool import RedisPool
from vnum.service.answers import Answers
from vnum.service.attempts import Attempts
from vnum.service.audit import Audit
from vnum.service.bills import Bills
from vnum.service.bind import Binder
from vnum.service.blacklist import Blacklist
from vnum.service.call_lives import CallLives
from vnum.service.call_policies import CallPolicies
from vnum.service.callers import Callers
from vnum.service.calls import Calls
from vnum.service.care import Care
from vnum.service.change_recipient import RecipientChanger
from vnum.service.clock import Clock, ServerClock, peek
from vnum.service.data_keys import make_ahead, open_vault
from vnum.service.decide import Decider
from vnum.service.decrypt import Decrypter
from vnum.service.deliver import Deliverer
from vnum.service.deliveries import Deliveries
from vnum.service.dial_care import DialCare
from vnum.service.dials import Dials
from vnum.service.disputes import Disputes
from vnum.service.events import Ends, PoolWatch
from vnum.service.grants import Grants
from vnum.service.health import Health
from vnum.service.hosts import Hosts
from vnum.service.invoices import Invoices
from vnum.service.keep import Keeper
from vnum.service.key_ring import ApiKeys
from vnum.service.labels import Labels
from vnum.service.lifecycle import Lifecycle
from vnum.service.lifetime import Lifetime
from vnum.service.limits import Limits
from vnum.service.marks import Marks
from vnum.service.merchants import Merchants
from vnum.service.messages import Messages
from vnum.service.notes import Notes
from vnum.service.occupancy import Occupancy
from vnum.service.opt_outs import OptOuts
from vnum.service.prints import Prints
from vnum.service.reconcile import Reconciler
from vnum.service.records import Records
from vnum.service.registry import Registry
from vnum.service.retention import Retention
from vnum.service.reviews import Reviews
from vnum.service.route import Policy, Routes
from vnum.service.signing import Signing
from vnum.service.spend import Spending
from vnum.service.subjects import Subjects
from vnum.service.supply import Supply
from vnum.service.take_dials import DialTaker
from vnum.service.tariffs import Tariffs
from vnum.service.templates import Templates
from vnum.service.text_recipients import TextRecipients
from vnum.service.unrecorded import Unrecorded
from vnum.service.usage import Usages
from vnum.service.webhooks import Webhooks
from vnum.store import clock as stored_clock
from vnum.store.bell import Bell
from vnum.store.database import Database, open_database
from vnum.vault import KeyPlace, Vault

REDIS_TIMEOUT_S = 1.0
REDIS_CONNECTIONS = 32

SETTLED = 3
"""Time-outs of a statement after which a transaction that moves the end of a binding is over."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """Where an engine runs and by what rules. The master key lies in `key_file` unless one of the next two is given."""

    postgres_dsn: str
    redis_url: str
    key_file: Path
    key_text: str | None = None
    key_command: str | None = None
    may_make_key: bool = True
    schema: str = "vnum"
    prefix: str | None = None
    cells: int = 1
    postgres_connections: int = 8
    statement_timeout_s: int = 30
    policy: Policy = Policy()
    rate_per_s: int = 0
    auth_failures_per_min: int = 0
    keep: Keep = Keep()
    issuer: str = "VN"
    issuer_name: str | None = None
    issuer_tax_no: str | None = None
    fapiao_item: str | None = None
    sms_gateway_url: str | None = None
    sms_gateway_key_file: Path | None = None
    webhook_reach: Reach = Reach.PUBLIC
    keep_deliveries_days: int = 7
    pool_low_percent: int = 10

    def __repr__(self) -> str:
        return f"Parts({self.schema})"  # a key may stand in them, and passwords do

    @property
    def key_place(self) -> KeyPlace:
        return KeyPlace(file=self.key_file, text=self.key_text, command=self.key_command)


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """Every use case, ready to be called."""

    database: Database
    pool: RedisPool
    vault: Vault
    clock: Clock
    cells: int
    audit: Audit
    issuer: str
    registry: Registry
    supply: Supply
    care: Care
    occupancy: Occupancy
    binder: Binder
    lifetime: Lifetime
    lifecycle: Lifecycle
    recipients: RecipientChanger
    labels: Labels
    prints: Prints
    decrypter: Decrypter
    routes: Routes
    opt_outs: OptOuts
    callers: Callers
    blacklist: Blacklist
    call_policies: CallPolicies
    marks: Marks
    attempts: Attempts
    dials: Dials
    dial_taker: DialTaker
    call_lives: CallLives
    unrecorded: Unrecorded
    records: Records
    keeper: Keeper
    reviews: Reviews
    decider: Decider
    calls: Calls
    disputes: Disputes
    reconciler: Reconciler
    hosts: Hosts
    merchants: Merchants
    tariffs: Tariffs
    invoices: Invoices
    bills: Bills
    usages: Usages
    spending: Spending
    notes: Notes
    keys: ApiKeys
    messages: Messages
    templates: Templates
    webhooks: Webhooks
    deliveries: Deliveries
    deliverer: Deliverer
    grants: Grants
    signing: Signing
    limits: Limits
    answers: Answers
    health: Health
    retention: Retention
    subjects: Subjects


@asynccontextmanager
async def open_engine(parts: Parts, *, clock: Clock | None = None) -> AsyncIterator[Engine]:
    """An engine on a migrated schema; closes its connections at the end."""
    database = await open_database(
        parts.postgres_dsn,
        parts.schema,
        connections=parts.postgres_connections,
        statement_timeout_s=parts.statement_timeout_s,
    )
    pool = RedisPool(open_redis(parts.redis_url), Keys(parts.prefix or parts.schema))
    try:
        vault = await open_vault(database, parts.key_place, may_make=parts.may_make_key)
        engine = assemble(parts, database, pool, vault, clock)
        now = await peek(engine.clock, database)
        await stored_clock.ensure_months(database, now)
        await make_ahead(vault, now)
        try:
            yield engine
        finally:
            await engine.dial_taker.close()
            await engine.deliverer.close()
            await engine.messages.close()
    finally:
        await pool.close()
        await database.close()


def open_redis(url: str) -> Redis:
    """A client that says at once when Redis is away: the caller has another way."""
    return Redis.from_url(
        url,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        max_connections=REDIS_CONNECTIONS,
    )


def assemble(parts: Parts, database: Database, pool: RedisPool, vault: Vault, clock: Clock | None) -> Engine:
    clock = clock or ServerClock(database)
    cells = parts.cells
    registry = Registry(database)
    supply = Supply(database, pool, registry)
    audit = Audit(database, clock, cells)
    retention = Retention(database, vault, clock, cells, parts.keep)
    opt_outs = OptOuts(database, vault, clock)
    gateway = open_gateway(parts.sms_gateway_url, parts.sms_gateway_key_file)
    webhooks = Webhooks(database, vault, clock, parts.webhook_reach)
    deliverer = Deliverer(database, vault, clock, parts.webhook_reach, timedelta(days=parts.keep_deliveries_days))
    ends = Ends(database, cells, timedelta(seconds=SETTLED * parts.statement_timeout_s))
    pool_watch = PoolWatch(database, parts.pool_low_percent)
    unrecorded, dial_care = Unrecorded(database, clock), DialCare(database, cells)
    occupancy = Occupancy(database, pool, registry, clock)
    care = Care(
        database,
        occupancy,
        registry,
        supply,
        vault,
        audit,
        retention,
        ends,
        pool_watch,
        deliverer,
        dial_care,
        unrecorded,
        clock,
        cells,
    )
    keeper = Keeper(database, vault, clock, cells)
    records = Records(database, vault, registry, keeper, clock, cells, parts.keep)
    spending = Spending(database, clock)
    keys = ApiKeys(database, vault, clock)
    lifecycle = Lifecycle(database, registry, supply, clock, cells)
    binder = Binder(database, vault, registry, supply, care, spending, lifecycle, clock, cells)
    labels = Labels(database, vault, binder, clock, cells)
    lifetime = Lifetime(database, registry, supply, clock, cells)
    dials = Dials(database, vault, labels, clock, cells, parts.policy)
    bell = Bell(parts.postgres_dsn, parts.schema)
    calls = Calls(database, labels, dials, cells)
    policies = Policies(parts.policy.calls)
    templates = Templates(database, clock)
    text_recipients = TextRecipients(database, vault, registry, cells, opt_outs.wants_no_texts, policies)
    issuer = Issuer(name=parts.issuer_name, tax_no=parts.issuer_tax_no, fapiao_item=parts.fapiao_item or FAPIAO_ITEM)
    invoices = Invoices(database, clock, parts.issuer, issuer)
    return Engine(
        database=database,
        pool=pool,
        vault=vault,
        clock=clock,
        cells=cells,
        audit=audit,
        issuer=parts.issuer,
        registry=registry,
        supply=supply,
        care=care,
        occupancy=occupancy,
        binder=binder,
        lifetime=lifetime,
        lifecycle=lifecycle,
        recipients=RecipientChanger(database, vault, registry, lifetime, clock),
        labels=labels,
        prints=Prints(database, labels, clock),
        decrypter=Decrypter(database, labels, clock),
        routes=Routes(database, vault, registry, clock, cells, parts.policy),
        opt_outs=opt_outs,
        callers=Callers(database, vault, clock),
        blacklist=Blacklist(database, vault, clock),
        call_policies=CallPolicies(database, clock, policies, cells),
        marks=Marks(database, clock, policies, cells),
        attempts=Attempts(database),
        dials=dials,
        dial_taker=DialTaker(database, vault, clock, cells, bell, dial_care),
        call_lives=CallLives(database, labels, clock, cells),
        unrecorded=unrecorded,
        records=records,
        keeper=keeper,
        reviews=Reviews(database, vault, cells),
        decider=Decider(database, vault, records, clock),
        calls=calls,
        disputes=Disputes(database, calls, clock),
        reconciler=Reconciler(database, vault, registry, cells),
        hosts=Hosts(database, registry, clock, cells),
        merchants=Merchants(database, clock),
        tariffs=Tariffs(database, clock),
        invoices=invoices,
        notes=Notes(database, clock, parts.issuer, issuer, invoices),
        bills=Bills(database, clock),
        usages=Usages(database, clock),
        spending=spending,
        messages=Messages(database, vault, clock, cells, gateway, templates, text_recipients),
        templates=templates,
        webhooks=webhooks,
        deliveries=Deliveries(database, webhooks, clock),
        deliverer=deliverer,
        keys=keys,
        grants=Grants(database, keys, clock),
        signing=Signing(database, keys),
        limits=Limits(pool, keys.pace.now, rate_per_s=parts.rate_per_s, failures_per_min=parts.auth_failures_per_min),
        answers=Answers(database, vault),
        health=Health(database, pool),
        retention=retention,
        subjects=Subjects(database, vault, lifetime, clock, cells),
    )
