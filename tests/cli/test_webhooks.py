"""`vnum webhooks`: what is dead is seen and sent once more."""

import re
from pathlib import Path

import uvloop

from tests.engines import connect_owner
from vnum.servers import Endpoints

from .test_commands import UNKNOWN, Shell, ready, shell

__all__ = ["ready", "shell"]

ADD = """
INSERT INTO webhooks (webhook_id, role, made_by, url, events, active, secret, created_at)
VALUES ('0199b2a4-3600-7000-8000-5c1f9e0a7d42', 'platform', 'k', 'https://x.example/', '{binding.released}', true, 'x',
        '2026-10-05+00');
INSERT INTO webhook_deliveries (cell, webhook_id, event_id, event, subject, at, due_at, data, state, attempts, tried_at,
                                failure)
SELECT 0, '0199b2a4-3600-7000-8000-5c1f9e0a7d42', ('0199b2a4-3600-7000-8000-00000000000' || n)::uuid,
       'binding.released', 'b', '2026-10-05+00', '2026-10-06+00', '{}', 'dead', 13, '2026-10-06+00', 'status 500'
FROM generate_series(1, 3) n
"""


def test_the_dead_are_listed_and_replayed(ready: Shell, endpoints: Endpoints, tmp_path: Path) -> None:
    async def add() -> None:
        owner = await connect_owner(endpoints, ready.environment["VNUM_SCHEMA"])
        await owner.execute(ADD)
        await owner.close()

    uvloop.run(add())
    listed = ready.good("webhooks", "list")
    webhook = re.search(r"[0-9a-f-]{36}", listed)
    assert webhook
    dead = ready.good("webhooks", "dead", webhook[0])
    assert "3 dead" in dead
    assert "status 500" in dead
    one = "0199b2a4-3600-7000-8000-000000000001"
    assert ready.good("webhooks", "replay", webhook[0], one) == "1 replayed\n"
    assert ready.good("webhooks", "replay", webhook[0], "--all") == "2 replayed\n"
    assert "0 dead" in ready.good("webhooks", "dead", webhook[0])
    for wrong in ([], [one, "--all"]):
        assert ready.run("webhooks", "replay", webhook[0], *wrong).exit_code == 2
    refused = ready.run("webhooks", "replay", webhook[0], UNKNOWN)
    assert "delivery_not_found" in refused.output
    assert "webhook_not_found" in ready.run("webhooks", "dead", UNKNOWN).output
