"""Call records that were not taken are kept for review as they came: a call that happened is money.

Sealed whole, since nobody knows where in one a phone stands.
"""

from collections.abc import Sequence
from enum import StrEnum
from os import urandom

import msgspec

from vnum.model.cells import cell_of
from vnum.model.ids import RANDOM_BYTES, new_id
from vnum.model.refusals import Code
from vnum.service.clock import Clock, peek
from vnum.store import reviews as stored
from vnum.store.database import Database
from vnum.store.reviews import Kept
from vnum.vault import Vault

USE = b"record"
"""What the seal of a kept record is made for."""


class Status(StrEnum):
    RATED = "rated"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REJECTED = "rejected"


class NotTaken(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record, or an item that could not even be read, as text; call_id "" = not readable either.

    `detail` is what the switch was told. It holds no phone, and is not sealed.
    """

    call_id: str
    status: Status
    code: Code
    detail: str
    text: str


class Keeper:
    def __init__(self, database: Database, vault: Vault, clock: Clock, cells: int) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._cells = cells

    async def keep(self, items: Sequence[NotTaken]) -> None:
        """Stores them, once each content."""
        if not items:
            return
        now = await peek(self._clock, self._database)
        key_id = await self._vault.month(now)
        last = {(one.call_id, one.text): one for one in items}  # one statement takes a row once
        rows: list[Kept] = []
        for one in last.values():
            cell = cell_of(self._cells, one.call_id)
            review_id = new_id(cell, now, urandom(RANDOM_BYTES))
            content, sealed = self._vault.fingerprint(one.text), self._vault.seal(one.text, review_id, USE, key_id)
            rows.append(Kept(cell, review_id, one.call_id, one.status, one.code, one.detail, content, sealed))
        await stored.keep(self._database, rows, now, key_id)
