"""Writes vnum/store/schema.txt: what the migrations come to, out of PostgreSQL's own catalogs.

A change of the schema shows in the diff of that file; a test holds it against the migrations.

    python scripts/schema_snapshot.py
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import asyncpg

from vnum.servers import open_servers
from vnum.store.migrate import migrate

SNAPSHOT = Path(__file__).resolve().parents[1] / "vnum" / "store" / "schema.txt"
SCHEMA = "snapshot"

GRANTED = """
    SELECT format('%s: %s', what, string_agg(privilege, ', ' ORDER BY privilege))
    FROM (SELECT c.relname::text AS what, x.privilege_type AS privilege
          FROM pg_class c CROSS JOIN aclexplode(c.relacl) x
          WHERE c.relnamespace = $1::regnamespace AND x.grantee = 'vnum_app'::regrole AND NOT c.relispartition
          UNION ALL
          SELECT c.relname::text, format('%s (%s)', x.privilege_type, string_agg(a.attname, ', ' ORDER BY a.attnum))
          FROM pg_class c
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
          CROSS JOIN aclexplode(a.attacl) x
          WHERE c.relnamespace = $1::regnamespace AND x.grantee = 'vnum_app'::regrole AND NOT c.relispartition
          GROUP BY c.oid, c.relname, x.privilege_type
          UNION ALL
          SELECT p.proname || '()', x.privilege_type
          FROM pg_proc p CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x
          WHERE p.pronamespace = $1::regnamespace AND x.grantee IN (0, 'vnum_app'::regrole)
          UNION ALL
          SELECT 'the schema', x.privilege_type
          FROM pg_namespace n CROSS JOIN aclexplode(n.nspacl) x
          WHERE n.oid = $1::regnamespace AND x.grantee = 'vnum_app'::regrole) AS granted
    GROUP BY what ORDER BY 1"""

# One query a section; each row is one line of text. Partitions are left out: they come with the months.
SECTIONS = {
    "tables, views and types": """
        SELECT format('%s %s%s', CASE c.relkind WHEN 'v' THEN 'view' WHEN 'c' THEN 'type' ELSE 'table' END, c.relname,
                      CASE WHEN c.relkind = 'p' THEN ' partition by ' || pg_get_partkeydef(c.oid) ELSE '' END
                      || coalesce(' with ' || array_to_string(c.reloptions, ', '), ''))
        FROM pg_class c WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p', 'v', 'c')
          AND NOT c.relispartition
        ORDER BY 1""",
    "columns": """
        SELECT format('%s.%s %s%s%s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                      CASE WHEN l.collname = 'C' THEN ' collate C' ELSE '' END,
                      CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
                      coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), ''),
                      CASE WHEN a.attidentity <> '' THEN ' identity ' || a.attidentity::text ELSE '' END)
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
        WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p', 'v', 'c') AND NOT c.relispartition
        ORDER BY c.relname, a.attnum""",
    "constraints": """
        SELECT format('%s %s: %s', c.relname, n.conname, pg_get_constraintdef(n.oid))
        FROM pg_constraint n JOIN pg_class c ON c.oid = n.conrelid
        WHERE n.connamespace = $1::regnamespace AND n.contype <> 'n' AND NOT c.relispartition
        ORDER BY 1""",
    "indexes": """
        SELECT pg_get_indexdef(i.indexrelid)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        WHERE c.relnamespace = $1::regnamespace AND NOT c.relispartition
        ORDER BY 1""",
    "definitions of views": """
        SELECT format(E'%s:\\n%s', c.relname, pg_get_viewdef(c.oid))
        FROM pg_class c WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'v' ORDER BY c.relname""",
    "functions": """
        SELECT pg_get_functiondef(p.oid) FROM pg_proc p WHERE p.pronamespace = $1::regnamespace
        ORDER BY p.proname, p.oid""",
    "sequences": """
        SELECT c.relname::text FROM pg_class c
        WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'S' ORDER BY 1""",
    "triggers": """
        SELECT format('%s on %s', t.tgname, c.relname) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = $1::regnamespace AND NOT t.tgisinternal ORDER BY 1""",
    "row-level security": """
        SELECT format('%s %s for %s to %s: using %s%s', p.tablename, p.policyname, lower(p.cmd),
                      array_to_string(p.roles, ', '), coalesce(p.qual, 'nothing'),
                      coalesce(' with check ' || p.with_check, ''))
        FROM pg_policies p WHERE p.schemaname = $1 ORDER BY p.tablename, p.policyname""",
    "what the application may": GRANTED,
    "what a tied key may": GRANTED.replace("vnum_app", "vnum_tenant").replace("IN (0, ", "IN ("),
}


async def snapshot(connection: Any, schema: str) -> str:
    """The shape of a schema as text; the schema's own name does not stand in it."""
    parts = []
    for title, query in SECTIONS.items():
        lines = [row[0] for row in await connection.fetch(query, schema)]
        parts.append("\n".join([f"# {title}", *lines, ""]))
    return "\n".join(parts).replace(f"{schema}.", "").replace(f"'{schema}'", "'schema'")


async def main() -> None:
    """Migrates a server of its own and writes the file."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_servers(Path(folder)) as endpoints:
            await migrate(endpoints.postgres_admin_dsn, SCHEMA)
            connection = await asyncpg.connect(endpoints.postgres_admin_dsn, server_settings={"search_path": SCHEMA})
            try:
                SNAPSHOT.write_text(await snapshot(connection, SCHEMA), encoding="utf-8")
            finally:
                await connection.close()
    print(f"{SNAPSHOT} written")


if __name__ == "__main__":
    asyncio.run(main())
