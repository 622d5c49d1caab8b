"""Care of ordered calls: what nobody took is given up, what has its record is let go of."""

from datetime import datetime, timedelta

from vnum.meters import DIALS
from vnum.model.dials import LOST_AFTER, SAY_WITHIN, DialFailure, DialState
from vnum.store import dials as stored
from vnum.store.database import Database

SETTLES = timedelta(days=2)
"""How long the record of an ordered call is looked out for."""

AGENTS_KEPT = timedelta(days=1)
"""As long, at the most, the phones of agents whose calls were ordered."""

DIALS_KEPT = timedelta(days=183)
"""As long, that a call was ordered."""

STATES_KEPT = timedelta(days=30)
"""As long, what switches told of calls while they ran."""


class DialCare:
    def __init__(self, database: Database, cells: int) -> None:
        self._database = database
        self._cells = cells

    async def tend(self, now: datetime) -> None:
        for cell in range(self._cells):
            await self.give_up(cell, now)
            await stored.settle(self._database, cell, now - SETTLES)

    async def give_up(self, cell: int, now: datetime) -> None:
        codes = (DialFailure.NOT_TAKEN.value, DialFailure.LOST.value)
        for code in await stored.give_up(self._database, cell, now, now - SAY_WITHIN, now - LOST_AFTER, codes):
            DIALS.labels(DialState.FAILED, code).inc()

    async def forget(self, now: datetime) -> None:
        await stored.forget(self._database, now - AGENTS_KEPT, now - DIALS_KEPT, now - STATES_KEPT)
