"""The worked example of the README: bind -> label -> call -> invoice, through the real API, in simulated time."""

import json
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import uvloop

from vnum.api.server import serve
from vnum.cli.session import set_up_logs
from vnum.engine import Parts, open_engine
from vnum.servers import open_servers
from vnum.service.clock import ManualClock
from vnum.service.keys import Role
from vnum.store.migrate import migrate

BOUND_AT = datetime(2026, 1, 20, 2, 30, tzinfo=UTC)
ORDER = {"merchant_id": "shop-1", "order_id": "A1001"}


class Caller:
    """Sends requests with the key of a role, and prints them with their answers."""

    def __init__(self, http: aiohttp.ClientSession, keys: Mapping[Role, str]) -> None:
        self._http = http
        self._keys = keys

    async def say(self, role: Role, method: str, path: str, body: object = None, *, show: bool = True) -> object:
        headers = {"Authorization": f"Bearer {self._keys[role]}"}
        async with self._http.request(method, path, json=body, headers=headers) as response:
            text = await response.text()
        if show:
            sent = "" if body is None else f" {json.dumps(body, ensure_ascii=False)}"
            print(f"{role}> {method} {path}{sent}")
            print(f"{response.status} {_shortened(text.strip())}\n")
        return json.loads(text) if response.content_type.endswith("json") else text


def _shortened(text: str) -> str:
    """Of a long file the first three lines and the last."""
    lines = text.splitlines()
    return text if len(lines) < 6 else "\n".join([*lines[:3], f"... {len(lines) - 4} more ...", lines[-1]])


async def tell(caller: Caller, clock: ManualClock) -> None:
    await caller.say(Role.PLATFORM, "POST", "/v1/merchants", {"merchant_id": "shop-1", "name": "Shop 1"}, show=False)
    await caller.say(Role.ADMIN, "POST", "/v1/hosts", {"host": "18400913965", "city": "Hangzhou"}, show=False)

    asked = {**ORDER, "recipient_phone": "13812345678", "order_status": "shipped", "city": "Hangzhou"}
    bound = await caller.say(Role.PLATFORM, "POST", "/v1/bindings", asked)
    await caller.say(Role.COURIER, "POST", "/v1/labels/current", {"items": [ORDER]})

    clock.instant += timedelta(days=1)
    call = {"call_id": "c-1", "caller": "057112345678", "host": bound["host"]}
    await caller.say(Role.SWITCH, "POST", "/v1/calls/route", call)
    await caller.say(Role.SWITCH, "POST", "/v1/calls/route", {**call, "digits": bound["extension"]})

    answered = clock.instant + timedelta(seconds=9)
    released = answered + timedelta(seconds=61)
    record = {
        **call,
        "extension": bound["extension"],
        "call_time": f"{clock.instant:%FT%TZ}",
        "answer_time": f"{answered:%FT%TZ}",
        "release_time": f"{released:%FT%TZ}",
    }
    clock.instant = released
    await caller.say(Role.SWITCH, "POST", "/v1/calls/records", {"items": [record]})

    clock.instant = datetime(2026, 2, 1, tzinfo=UTC)
    await caller.say(Role.FINANCE, "POST", "/v1/invoices/close", {"period": "2026-01"})
    await caller.say(Role.FINANCE, "GET", "/v1/invoices/export?period=2026-01&format=csv")


async def main() -> None:
    set_up_logs("error")
    with tempfile.TemporaryDirectory(prefix="vnum-example-") as name:
        folder = Path(name)
        async with open_servers(folder) as endpoints:
            await migrate(endpoints.postgres_admin_dsn, "vnum")
            parts = Parts(
                postgres_dsn=endpoints.postgres_dsn, redis_url=endpoints.redis_url, key_file=folder / "master.key"
            )
            clock = ManualClock(BOUND_AT)
            async with open_engine(parts, clock=clock) as engine, serve(engine) as serving:
                keys = {role: (await engine.keys.make(role)).text for role in Role}
                async with aiohttp.ClientSession(serving.url) as http:
                    await tell(Caller(http, keys), clock)


if __name__ == "__main__":
    uvloop.run(main())
