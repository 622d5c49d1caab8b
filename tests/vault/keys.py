"""Vaults for tests, with keys that lie nowhere."""

from collections.abc import Collection, Sequence
from datetime import date

from vnum.vault import DataKey, MasterKey, Purpose, Vault
from vnum.vault.keys import derive


class Held:
    """Keys in memory; `asked` says how often they were read. A key that is made is one of these."""

    def __init__(self, *keys: DataKey) -> None:
        self.keys = list(keys)
        self.asked = 0

    async def read(self) -> Sequence[DataKey]:
        self.asked += 1
        return self.keys

    async def make(self, months: Collection[date]) -> Sequence[DataKey]:
        for month in sorted(months):
            if month not in {key.month for key in self.keys}:
                self.keys.append(month_key(len(self.keys) + 1, month))
        return await self.read()


def month_key(key_id: int, month: date) -> DataKey:
    return DataKey(key_id=key_id, purpose=Purpose.MONTH, month=month, secret=bytes([key_id]) * 32)


def held_before(master: MasterKey) -> Held:
    """The keys that one master key was derived into before data keys had rows of their own."""
    return Held(
        DataKey(key_id=master.key_id, purpose=Purpose.STANDING, month=None, secret=derive(master, b"seal")),
        DataKey(key_id=master.key_id + 1, purpose=Purpose.INDEX, month=None, secret=derive(master, b"hash")),
    )


def of_before(master: MasterKey) -> Vault:
    held = held_before(master)
    return Vault(held.keys, held)
