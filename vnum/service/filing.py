"""What is written of a call that was decided: one statement for connected and refused ones alike."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence

import msgspec

from vnum.service.group import Group
from vnum.store import routes as stored
from vnum.store.database import Database
from vnum.store.routes import Filed, Refusal


class Decided(msgspec.Struct, frozen=True, gc=False):
    """`cell` = the host's."""

    cell: int
    row: Filed


class Filing:
    """Files decided calls, those of a moment together."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._decided: Group[Decided, Refusal | None] = Group(self._file, lanes=1)

    async def file(self, decided: Decided) -> Refusal | None:
        """None = it is connected, and on disk is who was told the number; else why it is not, caps included."""
        return await self._decided.submit(decided)

    async def _file(self, decided: Sequence[Decided]) -> list[Refusal | None]:
        answers: list[Refusal | None] = [None] * len(decided)
        for cell, positions in _rounds(decided):
            refused = await stored.file(self._database, cell, [decided[n].row for n in positions])
            for at, refusal in refused.items():
                answers[positions[at]] = refusal
        return answers


def _rounds(decided: Sequence[Decided]) -> Iterator[tuple[int, list[int]]]:
    """(cell, positions) of as few statements as can tell their calls apart: what shares a row waits for the next."""
    by_cell: defaultdict[int, list[int]] = defaultdict(list)
    for n, one in enumerate(decided):
        by_cell[one.cell].append(n)
    for cell, positions in by_cell.items():
        left = positions
        while left:
            taken: set[Hashable] = set()
            now: list[int] = []
            later: list[int] = []
            for n in left:
                keys = _keys(decided[n].row)
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
