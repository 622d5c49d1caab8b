"""Decrypting an order: what shops got a phone for once. They get the virtual number, and it is kept who asked."""

from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum

from vnum.meters import DECRYPTS
from vnum.model.ids import cell_in
from vnum.model.refusals import Refusal
from vnum.service.clock import Clock, peek
from vnum.service.labels import Label, LabelItem, Labels, Reader
from vnum.store import audit
from vnum.store.database import Database


class Scene(StrEnum):
    """What the number is asked for."""

    DELIVERY = "delivery"
    AFTER_SALES = "after_sales"


class Decrypter:
    def __init__(self, database: Database, labels: Labels, clock: Clock) -> None:
        self._database = database
        self._labels = labels
        self._clock = clock

    async def decrypt(self, scene: Scene, items: Sequence[LabelItem], reader: Reader) -> list[Label | Refusal]:
        """Per item the live number of its order, or why there is none. It is written down before it is told."""
        answers = await self._labels.current(items, reader=reader)
        told: defaultdict[int, list[str]] = defaultdict(list)
        for answer in answers:
            DECRYPTS.labels(scene, answer.code if isinstance(answer, Refusal) else "").inc()
            if isinstance(answer, Label):
                told[cell_in(answer.binding.binding_id)].append(str(answer.binding.binding_id))
        for cell, ids in told.items():
            now = await peek(self._clock, self._database, cell)
            await audit.add(self._database, cell, now, "number.decrypted", ids, scene)
        return answers
