"""The named queries of `sql/*.sql`: `-- name: x`, then comments, then one statement."""

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def queries(noun: str) -> dict[str, str]:
    """Every query of one file, by name. The comments stay, so that a slow-query log explains itself."""
    text = (files("vnum.store") / "sql" / f"{noun}.sql").read_text()
    head, *rest = _NAME.split(text)
    if any(line and not line.startswith("--") for line in head.splitlines()):
        raise ValueError(f"sql/{noun}.sql: SQL before the first '-- name:'")
    return dict(zip(rest[::2], (body.strip().rstrip(";") for body in rest[1::2]), strict=True))


def nouns() -> list[str]:
    """The files there are."""
    folder = files("vnum.store") / "sql"
    return sorted(entry.name.removesuffix(".sql") for entry in folder.iterdir() if entry.name.endswith(".sql"))
