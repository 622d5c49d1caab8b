"""Call records that could not even be read: kept for review as they came, for a call that happened is money."""

from collections.abc import Sequence
from hashlib import blake2b
from os import urandom

import msgspec

from vnum.model.cells import cell_of
from vnum.model.ids import RANDOM_BYTES, new_id
from vnum.model.refusals import Code
from vnum.service.clock import Clock, peek
from vnum.service.records import Status
from vnum.store import calls as stored
from vnum.store.calls import Review
from vnum.store.database import Database
from vnum.vault import Vault


class Unread(msgspec.Struct, frozen=True):
    """An item of a report as it came; call_id "" = not readable either."""

    call_id: str
    item: bytes


class Reviews:
    def __init__(self, database: Database, vault: Vault, clock: Clock, cells: int) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._cells = cells

    async def keep(self, items: Sequence[Unread]) -> None:
        """Once each content. Sealed whole, since nobody knows where in it a phone stands."""
        now = await peek(self._clock, self._database)
        rows: list[Review] = []
        for unread in items:
            cell = cell_of(self._cells, unread.call_id)
            review_id = new_id(cell, now, urandom(RANDOM_BYTES))
            sealed = self._vault.seal(unread.item.decode(errors="backslashreplace"), review_id, b"record")
            content = self._vault.fingerprint(blake2b(unread.item).hexdigest())
            rows.append(
                Review(
                    cell,
                    review_id,
                    unread.call_id,
                    Status.REJECTED,
                    Code.INVALID_REQUEST,
                    content,
                    sealed,
                )
            )
        if rows:
            await stored.review(self._database, rows, now, self._vault.key_id)
