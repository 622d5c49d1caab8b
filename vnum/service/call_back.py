"""Calls back: a recipient rings the number that rang him, without an extension (decision 0035).

Whom he means is asked in one statement, those of many callers at a time, on a lane of their own. It is asked of
everybody who sends no digits, so that it takes everybody the same time.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from asyncpg import Record

from vnum.model.call_back import Lent, Wanted, wanted
from vnum.model.call_policy import Policies
from vnum.model.hosts import Host
from vnum.model.phones import ANONYMOUS, can_be_rung
from vnum.service.group import Group
from vnum.store import routes as stored
from vnum.store.database import Database
from vnum.vault import Vault


class _Rung(msgspec.Struct, frozen=True, gc=False):
    cell: int
    host: str
    caller_hash: bytes
    at: datetime | None


class CallBacks:
    """`window` = how long a call counts; 0 = nobody is called back."""

    def __init__(self, database: Database, vault: Vault, policies: Policies, window: timedelta) -> None:
        self._database = database
        self._vault = vault
        self._policies = policies
        self._window = window
        self._asked: Group[_Rung, list[Record]] = Group(self._ask, lanes=1)

    async def wanted(
        self, host: Host, caller: str, caller_hash: bytes, at: datetime | None
    ) -> tuple[Wanted, datetime] | None:
        """Whom the caller means, and when he asked; None = he is asked for an extension."""
        if not self._window or caller == ANONYMOUS:
            return None
        records = await self._asked.submit(_Rung(host.cell, host.host, caller_hash, at))
        if not records:
            return None
        await self._vault.know(*(record["key_id"] for record in records if record["key_id"] is not None))
        found = wanted([self._lent(record) for record in records])
        return None if found is None else (found, records[0]["now"])

    def _lent(self, record: Record) -> Lent:
        return Lent(
            binding_id=record["binding_id"],
            bound_at=record["bound_at"],
            policy=self._policies.over(record["policy"]),
            service_number=record["service_number"],
            rang_at=record["rang_at"],
            party=self._party(record),
            barred=record["caller_listed"] is True,
        )

    def _party(self, record: Record) -> str | None:
        """Who rang, as a number that can be rung."""
        if record["caller"] is None or record["callee_listed"] is True or not self._vault.opens(record["key_id"]):
            return None
        phone = self._vault.open(record["caller"], record["call_id"], b"caller", record["key_id"])
        return phone if can_be_rung(phone) else None

    async def _ask(self, rung: Sequence[_Rung]) -> list[list[Record]]:
        by_cell: defaultdict[int, list[int]] = defaultdict(list)
        for n, one in enumerate(rung):
            by_cell[one.cell].append(n)
        answers: dict[int, list[Record]] = {}
        for cell, positions in by_cell.items():
            asked = [msgspec.structs.astuple(rung[n])[1:] for n in positions]
            found = await stored.call_back(self._database, cell, asked, self._window)
            answers |= zip(positions, found, strict=True)
        return [answers[n] for n in range(len(rung))]
