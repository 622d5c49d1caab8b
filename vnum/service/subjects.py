"""One person's rights by phone: what is held about it, without any number; and its erasure.

Erased are ciphertext, hash and name of the bindings that lead to it, who rang in the calls that it made, and records
that were not taken and hold it. Live bindings end (`erased`). What stays names nobody: the number's quarantine and the
memory of its last holder, order ids, days, calls and money. His opt-outs stay as well, as keyed hashes: they go on
protecting him; who registered or blacklisted the phone takes that back himself.

A phone is found by its fingerprint; so as it was given, with the extension of a fixed line if it had one.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model.cells import cell_of
from vnum.model.ids import cell_in
from vnum.model.phones import ANONYMOUS, PhoneError, holds_phone, parse_caller, parse_recipient
from vnum.model.refusals import Code, Refused
from vnum.service.clock import Clock, peek
from vnum.service.lifetime import Lifetime
from vnum.store import audit
from vnum.store import retention as stored_retention
from vnum.store import subjects as stored
from vnum.store.bindings import ERASED
from vnum.store.database import Database
from vnum.vault import Vault

PAGE = 500
LEAST_DIGITS = 7
"""A number of fewer is a service's, and no person's."""

_NO_DIGIT = re.compile(r"[^0-9]")
MOST_RECORDS = 500
_NO_ID = UUID(int=0)
_LAST_ID = UUID(int=(1 << 128) - 1)
_START = datetime(1970, 1, 1, tzinfo=UTC)


class Held(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing held. kind: `binding` (a number that leads or led to the phone; named = with a sealed name), `call_to`,
    `call_from` (a call the phone took or made), `record` (a call record that was not taken), `opt_out`, `registered`,
    `blacklisted`, `mark` (what: its scope, class, direction or mark; the newest 500 of each), `wrong_extensions`,
    `lockouts` (how many count against it as a caller)."""

    kind: str
    binding_id: UUID | None = None
    call_id: str | None = None
    review_id: UUID | None = None
    merchant_id: str | None = None
    order_id: str | None = None
    host: str | None = None
    extension: str | None = None
    bound_at: datetime | None = None
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    release_reason: str | None = None
    named: bool | None = None
    call_time: datetime | None = None
    answer_time: datetime | None = None
    release_time: datetime | None = None
    what: str | None = None
    at: datetime | None = None
    count: int | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """`next` = where the rest begins; null = that was all."""

    held: list[Held]
    next: str | None


Found = tuple[list[Held], str | None]


class Subjects:
    def __init__(self, database: Database, vault: Vault, lifetime: Lifetime, clock: Clock, cells: int) -> None:
        self._database = database
        self._vault = vault
        self._lifetime = lifetime
        self._clock = clock
        self._cells = cells
        self._kinds: dict[str, Callable[[str, str], Awaitable[Found]]] = {
            "bindings": self._bindings,
            "calls_to": self._calls_to,
            "calls_from": self._calls_from,
            "records": self._records,
            "wishes": self._wishes,
            "tries": self._tries,
        }

    async def export(self, phone: str, after: str | None = None) -> Page:
        """Up to 500 things that are held about a phone, kind by kind. Raises Refused: invalid_phone,
        invalid_request."""
        canonical = _parsed(phone)
        kinds = list(self._kinds)
        kind, place = _cursor(after, kinds)
        at = kinds.index(kind)
        held, more = await self._kinds[kind](canonical, place)
        while more is None and not held and at + 1 < len(kinds):
            at += 1
            held, more = await self._kinds[kinds[at]](canonical, "")
        if more is None:
            at, more = at + 1, ""
        following = f"{kinds[at]}:{more}" if at < len(kinds) else None
        now = await peek(self._clock, self._database)
        ids = [str(one.call_id or one.binding_id or one.review_id or one.kind) for one in held if one.count is None]
        await audit.add(self._database, 0, now, "recipient.exported", ids or ["nothing"])
        return Page(held=held, next=following)

    async def erase(self, phone: str, reason: str) -> None:
        """Erases it; once more changes nothing. Raises Refused: invalid_phone, invalid_request, and what a release is
        refused for; then it is to be repeated."""
        canonical = _parsed(phone)
        if holds_phone(reason):
            raise Refused(Code.INVALID_REQUEST, "reason: no phone numbers here, please; name the request or the order")
        bindings = await self._erase_bindings(self._vault.fingerprint(canonical), reason)
        calls = await self._erase_calls(self._vault.fingerprint(_as_caller(canonical)), reason)
        records = await self._erase_records(canonical, reason)
        now = await peek(self._clock, self._database)
        told = [f"bindings={bindings}", f"calls={calls}", f"records={records}"]
        await audit.add(self._database, 0, now, "recipient.erasure_done", told, reason)

    async def _erase_bindings(self, fingerprint: bytes, reason: str) -> int:
        """Live ones end first: once it is erased, nothing finds them."""
        count = 0
        while rows := await stored.bindings(self._database, fingerprint, _NO_ID, PAGE):
            now = await peek(self._clock, self._database)
            for row in rows:
                if row["ended_at"] > now:
                    await self._end(row["binding_id"])
            ids = sorted((row["binding_id"] for row in rows), key=cell_in)
            for cell, mine in groupby(ids, key=cell_in):
                async with self._database.acquire() as connection, connection.transaction():
                    erased = await stored.erase_bindings(connection, cell, list(mine), fingerprint)
                    count += len(erased)
                    if erased:
                        await audit.add(connection, cell, now, "recipient.erased", list(map(str, erased)), reason)

        return count

    async def _end(self, binding_id: UUID) -> None:
        try:
            await self._lifetime.release(binding_id, ERASED)
        except Refused as refused:
            if refused.refusal.code is not Code.BINDING_EXPIRED:  # it ended by itself meanwhile
                raise

    async def _erase_calls(self, fingerprint: bytes, reason: str) -> int:
        count = 0
        while rows := await stored.calls_from(self._database, fingerprint, (_START, ""), PAGE):
            now, count = await peek(self._clock, self._database), count + len(rows)
            async with self._database.acquire() as connection, connection.transaction():
                ids = [row["call_id"] for row in rows]
                keys = [(cell_of(self._cells, call_id), call_id) for call_id in ids]
                await stored_retention.forget_contents(connection, keys)
                await stored.erase_calls(connection, [(row["cell"], row["biz_at"], row["call_id"]) for row in rows])
                await audit.add(connection, 0, now, "caller.erased", ids, reason)
        async with self._database.acquire() as connection, connection.transaction():
            await stored.erase_traces(connection, fingerprint)
        return count

    async def _erase_records(self, canonical: str, reason: str) -> int:
        now, count = await peek(self._clock, self._database), 0
        for cell in range(self._cells):
            place = _NO_ID
            while rows := await self._next_records(cell, place):
                place = rows[-1]["review_id"]
                ids = [row["review_id"] for row in rows if self._holds(row, canonical)]
                count += len(ids)
                if ids:
                    async with self._database.acquire() as connection, connection.transaction():
                        await stored_retention.forget_records(connection, cell, ids, now, "erasure", reason)
                        await audit.add(connection, cell, now, "record.erased", list(map(str, ids)), reason)

        return count

    async def _bindings(self, canonical: str, place: str) -> Found:
        after = _uuid(place) if place else _NO_ID
        rows = await stored.bindings(self._database, self._vault.fingerprint(canonical), after, PAGE)
        held = [_held("binding", row) for row in rows]
        return held, str(rows[-1]["binding_id"]) if len(rows) == PAGE else None

    async def _calls_to(self, canonical: str, place: str) -> Found:
        binding, at, call_id = _parts(place, 3) if place else ("", "", "")
        after = (_uuid(binding) if binding else _NO_ID, _instant(at) if at else _START, call_id)
        rows = await stored.calls_to(self._database, self._vault.fingerprint(canonical), after, PAGE)
        last = rows[-1] if len(rows) == PAGE else None
        held = [_held("call_to", row) for row in rows]
        return held, None if last is None else f"{last['binding_id']},{last['biz_at'].isoformat()},{last['call_id']}"

    async def _calls_from(self, canonical: str, place: str) -> Found:
        at, call_id = _parts(place, 2) if place else ("", "")
        fingerprint = self._vault.fingerprint(_as_caller(canonical))
        rows = await stored.calls_from(self._database, fingerprint, (_instant(at) if at else _START, call_id), PAGE)
        last = rows[-1] if len(rows) == PAGE else None
        held = [_held("call_from", row) for row in rows]
        return held, None if last is None else f"{last['biz_at'].isoformat()},{last['call_id']}"

    async def _records(self, canonical: str, place: str) -> Found:
        cell, after = _parts(place, 2) if place else ("0", str(_NO_ID))
        if not (cell.isascii() and cell.isdigit() and int(cell) < self._cells):
            raise _no_cursor()
        rows = await self._next_records(int(cell), _uuid(after))
        held = [Held(kind="record", review_id=row["review_id"]) for row in rows if self._holds(row, canonical)]
        if len(rows) == MOST_RECORDS:
            return held, f"{cell},{rows[-1]['review_id']}"
        following = int(cell) + 1
        return held, f"{following},{_NO_ID}" if following < self._cells else None

    async def _wishes(self, canonical: str, place: str) -> Found:
        rows = await stored.wishes(self._database, self._vault.fingerprint(canonical), PAGE)
        return [_held(row["kind"], row) for row in rows], None

    async def _tries(self, canonical: str, place: str) -> Found:
        fingerprint = self._vault.fingerprint(_as_caller(canonical))
        counts = zip(
            ("wrong_extensions", "lockouts"), await stored.counts_against(self._database, fingerprint), strict=True
        )
        return [Held(kind=kind, count=count) for kind, count in counts if count], None

    async def _next_records(self, cell: int, after: UUID) -> Sequence[Record]:
        rows = await stored_retention.records_between(self._database, cell, after, _LAST_ID, MOST_RECORDS)
        await self._vault.know(*(row["key_id"] for row in rows))
        return rows

    def _holds(self, row: Record, canonical: str) -> bool:
        """Whether a sealed record names the phone in any field, however it is joined."""
        if not self._vault.opens(row["key_id"]):
            return False
        text = self._vault.open(row["record"], row["review_id"], b"record", row["key_id"])
        national = _national(canonical)
        return any(national in _NO_DIGIT.sub("", piece) for piece in text.split('"'))


def _parsed(phone: str) -> str:
    """The canonical text of a recipient, else of a caller. Raises Refused."""
    try:
        return parse_recipient(phone).canonical
    except PhoneError as error:
        try:
            caller = parse_caller(phone)
        except PhoneError:
            caller = ""
        if len(_national(caller)) < LEAST_DIGITS or caller == ANONYMOUS:
            raise Refused(Code.INVALID_PHONE, f"phone: {error}") from None
        return caller


def _as_caller(canonical: str) -> str:
    """Who rings shows no extension."""
    return canonical.partition(";ext=")[0]


def _national(canonical: str) -> str:
    return _as_caller(canonical).removeprefix("+86").removeprefix("+")


def _held(kind: str, row: Record) -> Held:
    return Held(**{name: value for name, value in row.items() if name in Held.__struct_fields__} | {"kind": kind})


def _cursor(after: str | None, kinds: Sequence[str]) -> tuple[str, str]:
    kind, _, place = (after or f"{kinds[0]}:").partition(":")
    if kind not in kinds:
        raise _no_cursor()
    return kind, place


def _parts(place: str, count: int) -> list[str]:
    parts = place.split(",", count - 1)
    if len(parts) != count:
        raise _no_cursor()
    return parts


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _no_cursor() from None


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise _no_cursor() from None
    if at.tzinfo is None:
        raise _no_cursor()
    return at


def _no_cursor() -> Refused:
    return Refused(Code.INVALID_REQUEST, "after: send what `next` of the page before said")
