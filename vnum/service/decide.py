"""Decide: what becomes of a record that was not taken.

- discard: nothing is charged, the reason stays.
- retry (rejected ones): the record goes the way of a fresh report, after a host was registered for example.
- accept (conflicts): the record takes the place of the charged call, at the tariff of its own answer, while the months
  of both are open. What was charged until then is kept as a closed review.

A decision holds its review from the first look to the commit, so that of two deciders the second finds it decided. A
retry charges in a transaction of its own and is noted afterwards: a crash in between leaves the review open, and the
next retry comes to `duplicate`.
"""

import asyncio
from decimal import Decimal
from enum import StrEnum
from os import urandom
from typing import assert_never
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.finance import plain
from vnum.model.ids import RANDOM_BYTES, cell_in, new_id
from vnum.model.phones import holds_phone
from vnum.model.refusals import Code, Refused
from vnum.service.call_record import CallRecord
from vnum.service.clock import Clock, read
from vnum.service.keep import USE, Status
from vnum.service.records import Records
from vnum.service.reviews import ReviewState, caller_of, read_record, unseal
from vnum.store import calls as stored_calls
from vnum.store import reviews as stored
from vnum.store.calls import Filed
from vnum.store.database import Connection, Database
from vnum.store.reviews import Kept, Ruling
from vnum.vault import Vault


class Decision(StrEnum):
    DISCARD = "discard"
    RETRY = "retry"
    ACCEPT = "accept"


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a review. minutes and cost (CNY) of what is charged by it; code, detail: why it is still open."""

    review_id: UUID
    state: ReviewState
    status: Status
    minutes: int | None = None
    cost: Decimal | None = None
    code: Code | None = None
    detail: str | None = None


class Decider:
    def __init__(self, database: Database, vault: Vault, records: Records, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._records = records
        self._clock = clock
        self._alone = asyncio.Lock()

    async def decide(self, review_id: UUID, decision: Decision, *, reason: str, by: str) -> Decided:
        """Raises Refused: review_not_found, review_decided, decision_mismatch, period_closed, invalid_request, and what
        an accepted record is refused for."""
        if holds_phone(reason):
            raise Refused(Code.INVALID_REQUEST, "reason: no phone numbers here, please; name the call or the order")
        cell = cell_in(review_id)
        now = await read(self._clock, self._database, 0)
        ruling = Ruling(cell=cell, review_id=review_id, at=now, by=by, reason=reason)
        # One waits for a review with a connection in hand, and takes others meanwhile: so one at a time in a process.
        async with self._alone, self._database.acquire() as connection, connection.transaction():
            review = await stored.lock(connection, cell, review_id)
            _check(review, decision)
            assert review is not None
            await self._vault.know(review["key_id"])
            match decision:
                case Decision.DISCARD:
                    await stored.decide(connection, ruling, ReviewState.DISCARDED)
                    return Decided(review_id=review_id, state=ReviewState.DISCARDED, status=Status(review["status"]))
                case Decision.RETRY:
                    return await self._retry(connection, review, ruling)
                case Decision.ACCEPT:
                    return await self._accept(connection, review, ruling)
                case _:
                    assert_never(decision)

    async def _retry(self, connection: Connection, review: Record, ruling: Ruling) -> Decided:
        (done,) = await self._records.take([self._record(review)])
        taken = done.status in (Status.RATED, Status.DUPLICATE)
        if taken:
            await stored.decide(connection, ruling, ReviewState.RETRIED)
        else:
            why = (str(done.status), str(done.code), done.detail or "")
            await stored.refuse_again(connection, ruling.cell, ruling.review_id, *why)
        return Decided(
            review_id=ruling.review_id,
            state=ReviewState.RETRIED if taken else ReviewState.OPEN,
            status=done.status,
            minutes=done.minutes,
            cost=done.cost,
            code=done.code,
            detail=done.detail,
        )

    async def _accept(self, connection: Connection, review: Record, ruling: Ruling) -> Decided:
        filed = await self._records.price(self._record(review))
        known = await stored.lock_call(connection, ruling.cell, filed.call_id)
        assert known is not None, "a conflict is one with a charged call, which is never forgotten"
        _check_replaces(known, filed)
        key = (filed.cell, known["biz_at"], filed.call_id)
        charged = (await stored_calls.at(connection, [key]))[filed.call_id]
        await self._vault.know(charged["key_id"])
        key_id = await self._vault.month(ruling.at)
        replaced = self._before(charged, ruling, key_id)
        if not await stored.replace(connection, ruling, known["biz_at"], filed, replaced, key_id):
            raise Refused(
                Code.PERIOD_CLOSED,
                "the month of the charged call, or of this record, is closed; "
                "discard the record with its reason, and issue a credit or debit note",
            )
        return Decided(
            review_id=ruling.review_id,
            state=ReviewState.ACCEPTED,
            status=Status.RATED,
            minutes=filed.rated.minutes,
            cost=filed.rated.cost,
        )

    def _record(self, review: Record) -> CallRecord:
        text = unseal(self._vault, review)
        record = None if text is None else read_record(text)
        if record is None:
            raise Refused(
                Code.DECISION_MISMATCH,
                "what came can not be read as a record; have it sent again in order, and discard this one",
            )
        return record

    def _before(self, charged: Record, ruling: Ruling, key_id: int) -> Kept:
        """The charged call as a record, to be kept. Its content is like no other's: should the same record come again,
        it is a conflict of its own."""
        names = ("call_id", "host", "extension", "binding_id", "call_time", "ring_time", "answer_time", "release_time",
                 "release_dir", "release_cause")  # fmt: skip
        fields = {name: charged[name] for name in names}
        text = msgspec.json.encode(CallRecord(caller=caller_of(self._vault, charged), **fields)).decode()
        review_id = new_id(ruling.cell, ruling.at, urandom(RANDOM_BYTES))
        return Kept(
            ruling.cell,
            review_id,
            charged["call_id"],
            Status.CONFLICT,
            Code.RECORD_CONFLICT,
            f"was charged with {charged['minutes']} minutes, {plain(charged['cost'])} CNY, "
            f"until the review {ruling.review_id} was accepted",
            self._vault.fingerprint(f"{review_id}\0{text}"),
            self._vault.seal(text, review_id, USE, key_id),
        )


def _check(review: Record | None, decision: Decision) -> None:
    """Raises Refused."""
    if review is None:
        raise Refused(Code.REVIEW_NOT_FOUND, "no review has such an id")
    if review["state"] != ReviewState.OPEN:
        raise Refused(
            Code.REVIEW_DECIDED, f"this review is decided: {review['state']} at {review['decided_at']:%FT%TZ}"
        )
    status = Status(review["status"])
    if decision is Decision.RETRY and status is not Status.REJECTED:
        raise Refused(Code.DECISION_MISMATCH, "another record of this call is charged; accept this one, or discard it")
    if decision is Decision.ACCEPT and status is not Status.CONFLICT:
        raise Refused(Code.DECISION_MISMATCH, "no call is charged that this record could replace; retry or discard it")


def _check_replaces(known: Record, filed: Filed) -> None:
    """Raises Refused."""
    if known["binding_id"] != filed.binding_id:
        raise Refused(
            Code.BINDING_MISMATCH,
            "the charged call is of another binding, so this is not the same call; discard the record, "
            "have it sent under an id of its own, and credit what was charged wrongly",
        )
    if known["content"] == filed.content:
        raise Refused(Code.DECISION_MISMATCH, "the charged call has this very content; discard the record")
