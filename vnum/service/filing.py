"""What is written of a call that was decided: one statement for whatever is refused, a short one for what is not."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence

import msgspec

from vnum.service.group import Group
from vnum.store import routes as stored
from vnum.store.database import Database
from vnum.store.routes import Connected, ConnectedBack, Filed, Refusal


class Decided(msgspec.Struct, frozen=True, gc=False):
    """`cell` = the host's."""

    cell: int
    row: Filed


class Through(msgspec.Struct, frozen=True, gc=False):
    """A call that nothing can keep any more. `cell` = the host's."""

    cell: int
    row: Connected


class Back(msgspec.Struct, frozen=True, gc=False):
    """A call of a recipient to who rang him, or to his shop. `cell` = the host's."""

    cell: int
    row: ConnectedBack


class Filing:
    """Files decided calls, those of a moment together."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._decided: Group[Decided, Refusal | None] = Group(self._file, lanes=1)
        self._through: Group[Through, None] = Group(self._connect, lanes=1)
        self._back: Group[Back, None] = Group(self._connect_back, lanes=1)

    async def connect(self, through: Through) -> None:
        """From here on is on disk who was told the number."""
        await self._through.submit(through)

    async def connect_back(self, back: Back) -> None:
        """The same of a call back."""
        await self._back.submit(back)

    async def file(self, decided: Decided) -> Refusal | None:
        """None = it is connected, and on disk is who was told the number; else why it is not, caps included."""
        return await self._decided.submit(decided)

    async def _file(self, decided: Sequence[Decided]) -> list[Refusal | None]:
        answers: list[Refusal | None] = [None] * len(decided)
        for cell, positions in _rounds([(one.cell, _keys(one.row)) for one in decided]):
            refused = await stored.file(self._database, cell, [decided[n].row for n in positions])
            for at, refusal in refused.items():
                answers[positions[at]] = refusal
        return answers

    async def _connect(self, through: Sequence[Through]) -> list[None]:
        for cell, positions in _rounds([(one.cell, [one.row.call_id]) for one in through]):
            await stored.connect(self._database, cell, [through[n].row for n in positions])
        return [None] * len(through)

    async def _connect_back(self, back: Sequence[Back]) -> list[None]:
        for cell, positions in _rounds([(one.cell, [one.row.call_id]) for one in back]):
            await stored.connect_back(self._database, cell, [back[n].row for n in positions])
        return [None] * len(back)


def _rounds(wanted: Sequence[tuple[int, list[Hashable]]]) -> Iterator[tuple[int, list[int]]]:
    """(cell, positions) of as few statements as can tell their calls apart: what shares a key waits for the next."""
    by_cell: defaultdict[int, list[int]] = defaultdict(list)
    for n, (cell, _) in enumerate(wanted):
        by_cell[cell].append(n)
    for cell, left in by_cell.items():
        while left:
            taken: set[Hashable] = set()
            now: list[int] = []
            later: list[int] = []
            for n in left:
                keys = wanted[n][1]
                (later if taken.intersection(keys) else now).append(n)
                taken.update(keys)
            yield cell, now
            left = later


def _keys(row: Filed) -> list[Hashable]:
    keys: list[Hashable] = [row.call_id]
    if row.code:
        keys.append((row.host, row.caller_hash))
    elif row.caps is not None:
        keys.append(row.recipient_hash)
    return keys
