"""`vnum callers`, `vnum blacklist`, `vnum opt-out`: phones come in by standard input, and none goes out."""

import getpass
import re

import uvloop

from tests.engines import connect_owner
from vnum.servers import Endpoints

from .test_commands import UNKNOWN, Shell, ready, shell

__all__ = ["ready", "shell"]

PHONE = "13812345678"
TYPED = f"{PHONE}\n"


def id_in(text: str) -> str:
    found = re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}", text)
    assert found, text
    return found[0]


def test_callers_are_registered_listed_and_removed(ready: Shell) -> None:
    courier = ("callers", "register", "--class", "courier", "--carrier", "SF")
    made = ready.good(*courier, "--verified", typed=TYPED)
    caller = id_in(made)
    assert made == f"{caller}  courier ****5678\n"
    assert id_in(ready.good(*courier, typed=TYPED)) == caller
    listed = ready.good("callers", "list")
    assert "1 callers" in listed
    assert caller in listed
    assert PHONE not in listed
    assert ready.good("callers", "remove", caller) == "removed\n"
    assert "0 callers" in ready.good("callers", "list")
    assert "caller_not_found" in ready.run("callers", "remove", UNKNOWN).output
    for wrong in (("courier",), ("robot",), ("robot", "--merchant", "m", "--carrier", "SF")):
        assert ready.run("callers", "register", "--class", *wrong, typed=TYPED).exit_code == 2
    unknown = ready.run("callers", "register", "--class", "robot", "--merchant", "nobody", typed=TYPED)
    assert (unknown.exit_code, "merchant_not_found" in unknown.output) == (1, True)


def test_the_blacklist(ready: Shell) -> None:
    add = ("blacklist", "add", "--direction", "caller", "--reason", "spam")
    made = ready.good(*add, typed=TYPED)
    entry = id_in(made)
    assert made == f"{entry}  caller ****5678\n"
    assert ready.good(*add, typed=TYPED) == f"{entry}  caller ****5678, there already\n"
    listed = ready.good("blacklist", "list")
    assert "1 entries" in listed
    assert "spam" in listed
    assert PHONE not in listed
    assert ready.good("blacklist", "remove", entry) == "removed\n"
    assert "blacklist_not_found" in ready.run("blacklist", "remove", UNKNOWN).output
    assert ready.run("blacklist", "add", "--direction", "both", typed=TYPED).exit_code == 2
    assert ready.run("blacklist", "add", "--direction", "callee", typed="x\n").exit_code == 1


def test_opt_outs(ready: Shell) -> None:
    assert ready.good("opt-out", "say", typed=TYPED).startswith("opted out (merchant) since 20")
    assert ready.good("opt-out", "say", "--scope", "everything", typed=TYPED).startswith("opted out (everything)")
    assert ready.good("opt-out", "withdraw", "--scope", "everything", typed=TYPED) == "1 withdrawn\n"
    assert ready.good("opt-out", "withdraw", "--scope", "everything", typed=TYPED) == "0 withdrawn\n"
    assert "merchant_not_found" in ready.run("opt-out", "say", "--merchant", "nobody", typed=TYPED).output
    assert ready.run("opt-out", "say", typed="x\n").exit_code == 1


def test_the_audit_knows_who_and_no_phone(ready: Shell, endpoints: Endpoints) -> None:
    async def entries() -> list[str]:
        owner = await connect_owner(endpoints, ready.environment["VNUM_SCHEMA"])
        try:
            return [
                str(tuple(row)) for row in await owner.fetch("SELECT actors[1], did, subjects[1] FROM audit_entries")
            ]
        finally:
            await owner.close()

    ready.good("blacklist", "add", "--direction", "callee", typed=TYPED)
    ready.good("opt-out", "say", typed=TYPED)
    found = uvloop.run(entries())
    assert not [entry for entry in found if PHONE in entry]
    assert {
        f"('operator:{getpass.getuser()}', 'vnum {name}', '-')" for name in ("blacklist add", "opt-out say")
    } <= set(found)
