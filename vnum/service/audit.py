"""Audit: who did what, when and why, in a chain that shows when an entry was changed, added or taken away."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model.ids import RANDOM_BYTES, new_id
from vnum.model.instants import EPOCH
from vnum.service.clock import Clock, peek
from vnum.store import audit as stored
from vnum.store.database import Database

LINK = 1_000
"""Entries linked in one statement."""

PAGE = 500


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """by[n] did it to ids[n]. seq = its number in the chain of its cell; null for the moment until it is linked."""

    cell: int
    entry_id: UUID
    seq: int | None
    at: datetime
    did: str
    by: list[str]
    ids: list[str]
    why: str | None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a chain shows. `head` = the hash of its last entry, number `last`: kept elsewhere, it shows later that the
    chain was neither rewritten nor cut. `broken_at` = the first number that is not what it was; null = whole.
    `waiting` = entries of the last moments, not linked yet."""

    cell: int
    entries: int
    last: int
    head: str
    waiting: int
    broken_at: int | None


class Audit:
    def __init__(self, database: Database, clock: Clock, cells: int) -> None:
        self._database = database
        self._clock = clock
        self._cells = cells

    async def note(self, did: str, ids: Sequence[str], why: str | None = None) -> None:
        """An entry of its own, for what has no transaction to write it in: before the thing is done."""
        await stored.add(self._database, 0, await peek(self._clock, self._database), did, ids, why)

    async def link(self) -> int:
        """Links every entry that waits, in every cell; how many."""
        linked = 0
        for cell in range(self._cells):
            while more := await stored.link(self._database, cell, LINK):
                linked += more
                if more < LINK:
                    break
        return linked

    async def verify(
        self, cell: int, kept: Mapping[int, str], progress: Callable[[int, int], None] | None = None
    ) -> Verdict:
        """Recomputes the chain of a cell from its entries, here and not in the database.

        `kept` = number -> hash in hex, as verified before: an entry of that number must still have that hash.
        """
        while await stored.link(self._database, cell, LINK) == LINK:
            pass
        head = await stored.head(self._database, cell)
        chain = _Chain(head, kept)
        while records := await stored.chain(self._database, cell, chain.seq, PAGE):
            if not all(chain.follow(record) for record in records):
                break
            if progress:
                progress(chain.seq - chain.first, chain.end - chain.first)
        waiting = await stored.unlinked(self._database, cell)
        return Verdict(
            cell=cell,
            entries=chain.seq - chain.first,
            last=chain.seq,
            head=chain.hash.hex(),
            waiting=waiting["entries"],
            broken_at=chain.broken_at(),
        )

    async def entries(
        self,
        cell: int,
        since: datetime,
        until: datetime,
        *,
        by: str | None = None,
        subject: str | None = None,
        before: UUID | None = None,
        most: int = PAGE,
    ) -> list[Entry]:
        """What was done in a cell within [since, until), the newest first. `before` = the last id of the page
        before."""
        lowest = bytes(RANDOM_BYTES)
        span = (new_id(0, max(since, EPOCH), lowest), before or new_id(0, max(until, EPOCH), lowest))
        records = await stored.entries(self._database, cell, span, by, subject, most)
        return [_entry(cell, record) for record in records]


class _Chain:
    """A chain as far as it was followed."""

    def __init__(self, head: Record | None, kept: Mapping[int, str]) -> None:
        self.first: int = head["first_seq"] if head else 0
        self.end: int = head["seq"] if head else 0
        self.hash: bytes = head["first_hash"] if head else b""
        self._last: bytes = head["hash"] if head else b""
        self._kept = kept
        self.seq = self.first
        self._broken: int | None = None

    def follow(self, record: Record) -> bool:
        """False = this entry is not what it was."""
        expected = self.seq + 1
        computed = _hash(self.hash, record)
        if (
            record["seq"] != expected
            or record["hash"] != computed
            or self._kept.get(expected, computed.hex()) != computed.hex()
        ):
            self._broken = expected
            return False
        self.seq, self.hash = expected, computed
        return True

    def broken_at(self) -> int | None:
        """A chain that ends before its head, or before an entry that was there once, was cut."""
        if self._broken is not None:
            return self._broken
        if self.seq < max([self.end, *self._kept]):
            return self.seq + 1
        return self.seq if self.seq == self.end and self.hash != self._last and self.seq > self.first else None


def _entry(cell: int, record: Record) -> Entry:
    return Entry(
        cell=cell,
        entry_id=record["entry_id"],
        seq=record["seq"],
        at=record["at"],
        did=record["did"],
        by=record["actors"],
        ids=record["subjects"],
        why=record["why"],
    )


def _hash(before: bytes, record: Record) -> bytes:
    """As audit_text of the migrations writes an entry: a JSON array in PostgreSQL's own spacing."""
    fields = [
        record["cell"],
        record["seq"],
        str(record["entry_id"]),
        record["micros"],
        record["did"],
        record["actors"],
        record["subjects"],
        record["why"],
    ]
    return sha256(before + json.dumps(fields, ensure_ascii=False).encode()).digest()
