"""Named queries: `sql/<file>.sql` holds blocks that begin with `-- name: <name>` and explain themselves."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

# Strings, because asyncpg's classes take no parameters at run time.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

_NAME: Final = re.compile(r"^-- name: ([a-z_]+)[ \t]*$", re.MULTILINE)


@cache
def load_queries(file: str) -> Mapping[str, str]:
    """The queries of one file by name, read once.

    Raises:
        ValueError: a name stands twice, or text stands before the first name.
    """
    text = resources.files("billing").joinpath("sql", f"{file}.sql").read_text(encoding="utf-8")
    head, *blocks = _NAME.split(text)
    names, bodies = blocks[::2], blocks[1::2]
    if _is_code(head) or len(set(names)) < len(names):
        raise ValueError(f"{file}.sql: a statement without a name, or a name that stands twice")
    return MappingProxyType({name: body.strip() for name, body in zip(names, bodies, strict=True)})


async def insert(connection: Connection, query: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Write rows by a statement that takes an array a column, in their order. Not by COPY, which PostgreSQL refuses
    where row-level security holds, and the host may set that on these tables."""
    if rows:
        await connection.execute(query, *zip(*rows, strict=True))


def _is_code(text: str) -> bool:
    return any(line.strip() and not line.startswith("--") for line in text.splitlines())
