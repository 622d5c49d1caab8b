"""Data keys and the master key that wraps them: made at the first start and months ahead, read, rewrapped."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import date, datetime
from hashlib import blake2b
from os import urandom

import structlog

from vnum.model.instants import DAY
from vnum.store import audit, clock
from vnum.store import data_keys as stored
from vnum.store.data_keys import WrappedKey
from vnum.store.database import Database
from vnum.vault import (
    DataKey,
    KeyFileError,
    KeyPlace,
    LocalMaster,
    Master,
    Purpose,
    Vault,
    context_of,
    id_of,
    month_of,
    open_master,
)
from vnum.vault.data_keys import KEY_BYTES
from vnum.vault.keys import derive

log = structlog.get_logger()

MONTHS_AHEAD = 3
ROTATE_ATTEMPTS = 5
_LEGACY = {Purpose.STANDING: b"seal", Purpose.INDEX: b"hash"}
"""What one master key was derived into before data keys had rows of their own."""


async def open_vault(database: Database, place: KeyPlace, *, may_make: bool) -> Vault:
    """The vault of what is sealed in the database; new keys only for a database that has none.

    Raises KeyFileError: with another master key phones would be left that nobody can open.
    """
    fresh = not await stored.all_of(database) and not await stored.proofs(database)
    source = StoredKeys(database, open_master(place, may_make=may_make and fresh))
    await source.found()
    return Vault(await source.prove(), source)


async def make_ahead(vault: Vault, now: datetime) -> None:
    """The keys of this month and the next three: before anyone needs one."""
    months = {month_of(now)}
    at = now
    while len(months) <= MONTHS_AHEAD:
        at += 27 * DAY
        months.add(month_of(at))
    await vault.months([datetime(month.year, month.month, 1, tzinfo=now.tzinfo) for month in months])


class StoredKeys:
    """Where a vault's keys lie. A process whose master key was replaced goes on with the keys that it has read, and
    says so; it makes none that the others could not read."""

    def __init__(self, database: Database, master: Master) -> None:
        self._database = database
        self._master = master

    async def found(self) -> None:
        """The standing and the index key of a database that has none; of one from before, those in use."""
        if await stored.all_of(self._database):
            return
        legacy = _legacy(self._master, await stored.proofs(self._database))
        secrets = {purpose: legacy[purpose] if legacy else urandom(KEY_BYTES) for purpose in _LEGACY}
        wrapped = {p: await self._master.wrap(secret, context_of(p, None)) for p, secret in secrets.items()}
        async with stored.alone(self._database) as connection:
            if await stored.all_of(connection):
                return  # another process was first: its keys count
            master_id = self._master.master_id
            if legacy:
                await stored.file(connection, master_id, Purpose.STANDING, wrapped.pop(Purpose.STANDING), master_id)
            for purpose, key in wrapped.items():
                await stored.add(connection, purpose, None, key, master_id)

    async def prove(self) -> Sequence[DataKey]:
        """Every key, each opened. Raises KeyFileError: what this master key did not wrap, another one did."""
        rows = await stored.all_of(self._database)
        strange = next((row for row in rows if row.wrapped and row.master_id != self._master.master_id), None)
        if strange is not None:
            raise KeyFileError(_other(self._master, strange.master_id))
        keys = await self._opened(rows)
        if any(key.secret is None and row.wrapped for key, row in zip(keys, rows, strict=True)):
            raise KeyFileError(_wrong(self._master))
        return keys

    async def read(self) -> Sequence[DataKey]:
        rows = await stored.all_of(self._database)
        readable = [row for row in rows if row.wrapped is None or row.master_id == self._master.master_id]
        if len(readable) < len(rows):
            newer = next(row.master_id for row in rows if row not in readable)
            log.warning("master_key_replaced", do=_other(self._master, newer))
        keys = await self._opened(readable)
        return [key for key, row in zip(keys, readable, strict=True) if key.secret or row.wrapped is None]

    async def make(self, months: Collection[date]) -> Sequence[DataKey]:
        """Raises KeyFileError when the master key was replaced meanwhile."""
        there = {row.month for row in await stored.all_of(self._database)}
        wrapped = {
            month: await self._master.wrap(urandom(KEY_BYTES), context_of(Purpose.MONTH, month))
            for month in sorted(set(months) - there)
        }
        async with stored.alone(self._database) as connection:
            for row in await stored.all_of(connection) if wrapped else ():
                if row.wrapped and row.master_id != self._master.master_id:
                    raise KeyFileError(_other(self._master, row.master_id))
            for month, key in wrapped.items():
                await stored.add(connection, Purpose.MONTH, month, key, self._master.master_id)
        return await self.read()

    async def _opened(self, rows: Sequence[WrappedKey]) -> list[DataKey]:
        """secret None = destroyed, or not this master key's."""
        return list(await asyncio.gather(*(self._open(row) for row in rows)))

    async def _open(self, row: WrappedKey) -> DataKey:
        purpose, secret = Purpose(row.purpose), None
        if row.wrapped is not None:
            secret = await self._master.unwrap(row.wrapped, context_of(purpose, row.month))
        return DataKey(key_id=row.key_id, purpose=purpose, month=row.month, secret=secret)


async def rotate(database: Database, old: KeyPlace, new: Master) -> int:
    """Rewraps every data key by the new master key, in one transaction; the number of them, 0 = it was done before.

    Safe to repeat, and to break off: until the commit the old master key counts, from then on the new one. Raises
    KeyFileError.
    """
    if await _is_wrapped_by(new, await stored.all_of(database)):
        return 0
    present = open_master(old, may_make=False)
    if present.master_id == new.master_id != 0:
        raise KeyFileError(f"{new.place}: has the id of the master key in use, {new.master_id}; give it another")
    await try_out(new)
    source = StoredKeys(database, present)
    await source.found()
    for _ in range(ROTATE_ATTEMPTS):
        rows = await stored.all_of(database)
        keys = [key for key in await source.prove() if key.secret is not None]
        wrapped = {key.key_id: await new.wrap(key.secret or b"", context_of(key.purpose, key.month)) for key in keys}
        server_now, _ = await clock.now(database, 0, None)
        async with stored.alone(database) as connection:
            if await stored.all_of(connection) == rows:
                await stored.rewrap(connection, wrapped, new.master_id)
                await audit.add(connection, 0, server_now, "master_key.replaced", [f"key id {new.master_id}"])
                return len(wrapped)
    raise KeyFileError("others change the data keys at the moment; nothing was done, run this again")


async def try_out(master: Master) -> None:
    """Raises KeyFileError unless what it wraps it unwraps again."""
    key, context = urandom(KEY_BYTES), context_of(Purpose.INDEX, None)
    if await master.unwrap(await master.wrap(key, context), context) != key:
        raise KeyFileError(f"{master.place}: what it wraps it does not unwrap again")


async def _is_wrapped_by(master: Master, rows: Sequence[WrappedKey]) -> bool:
    live = [row for row in rows if row.wrapped is not None]
    if not live or any(row.master_id != master.master_id for row in live):
        return False
    first = live[0]
    try:
        return await master.unwrap(first.wrapped or b"", context_of(Purpose(first.purpose), first.month)) is not None
    except KeyFileError:
        return False  # another command's


def _legacy(master: Master, proofs: dict[int, bytes]) -> dict[Purpose, bytes] | None:
    """The keys that sealed a database of before; None = nothing was ever sealed there. Raises KeyFileError."""
    if not proofs:
        return None
    if not isinstance(master, LocalMaster):
        raise KeyFileError(
            f"{master.place}: this database was sealed with a master key out of a file (key id {min(proofs)}); "
            "start once with that file, then `vnum keys master rotate`"
        )
    key = master.key
    keys = {purpose: derive(key, use) for purpose, use in _LEGACY.items()}
    proof = blake2b(b"vnum", key=keys[Purpose.INDEX], digest_size=16, person=b"proof").digest()
    if proofs.get(key.key_id) != proof:
        raise KeyFileError(_wrong(master))
    return keys


def _wrong(master: Master) -> str:
    return (
        f"{master.place}: not the master key that this database was sealed with; "
        "put that one back, or name it by VNUM_MASTER_KEY_FILE, VNUM_MASTER_KEY or VNUM_MASTER_KEY_COMMAND"
    )


def _other(master: Master, in_use: int) -> str:
    of = f"key id {in_use}" if in_use else "a command (VNUM_MASTER_KEY_COMMAND)"
    return (
        f"{master.place}: not the master key that this database was sealed with: its data keys are wrapped by {of}, "
        f"this is {id_of(master)}. Start with that one; or, if this one shall replace it, run "
        "`vnum keys master rotate` with that one still set"
    )
