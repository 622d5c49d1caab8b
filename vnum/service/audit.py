"""Audit: who did what, when and why, in a chain that shows when an entry was changed, added or taken away."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model.ids import RANDOM_BYTES, new_id
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
    """What a chain shows. `head` = its last hash: keep it elsewhere, and a chain rewritten from its beginning or cut at
    its end shows too. `broken_at` = the first number that is not what it was; null = whole."""

    cell: int
    entries: int
    head: str
    unlinked: int
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

    async def verify(self, cell: int, progress: Callable[[int, int], None] | None = None) -> Verdict:
        """Recomputes the chain of a cell from its entries, here and not in the database."""
        await stored.link(self._database, cell, LINK)
        head = await stored.head(self._database, cell)
        end, before, seq = (head["seq"], head["first_hash"], head["first_seq"]) if head else (0, b"", 0)
        first = seq
        broken: int | None = None
        while broken is None and (records := await stored.chain(self._database, cell, seq, PAGE)):
            for record in records:
                before, seq = _hash(before, record), seq + 1
                if record["seq"] != seq or record["hash"] != before:
                    broken = seq
                    break
            if progress:
                progress(seq - first, end - first)
        if broken is None and head and (seq < end or (seq == end and before != head["hash"])):
            broken = seq + 1 if seq < end else end
        waiting = await stored.unlinked(self._database, cell)
        return Verdict(cell=cell, entries=seq - first, head=before.hex(), unlinked=waiting["entries"], broken_at=broken)

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
        span = (new_id(0, since, lowest), before or new_id(0, until, lowest))
        records = await stored.entries(self._database, cell, span, by, subject, most)
        return [_entry(cell, record) for record in records]


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
