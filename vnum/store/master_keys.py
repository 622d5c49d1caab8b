"""Proofs of the master keys that sealed what is in the database."""

from vnum.store.database import Database
from vnum.store.queries import queries

SQL = queries("master_keys")


async def proofs(database: Database) -> dict[int, bytes]:
    """key id -> proof; empty while nothing was ever sealed."""
    return {record["key_id"]: record["proof"] for record in await database.fetch(SQL["proofs"])}


async def add(database: Database, key_id: int, proof: bytes) -> None:
    """The first one counts."""
    await database.execute(SQL["add_proof"], key_id, proof)
