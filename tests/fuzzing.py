"""Generated requests: Schemathesis against a running API, by the API's own description and with keys of all roles.

Its checks are those of Schemathesis, and ours: every code was declared for its endpoint, and no answer has a field that
its description does not name.
"""

import random
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "declared_codes",
)
EVERY_S: Final = 10.0
"""How often a long run tells how far it is."""

OWN_ROLES: Final = 0.95
"""How often a request comes with a key that may call."""

NEW_KEYS: Final = 0.95
"""How often a request does not repeat the Idempotency-Key of another one."""

_A_KEY: Final = re.compile(r"[ -~]{1,190}")

KNOWN: Final = 0.7
"""How often a name in a request is one that exists."""


@dataclass
class Tally:
    """What was sent, and what came back."""

    requests: int = 0
    by_status: Counter[int] = field(default_factory=Counter)
    by_operation: dict[str, Counter[int]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def summary(self) -> str:
        statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.by_status.items()))
        return f"{self.requests:,} requests, {len(self.failures)} failures; answers by status: {statuses}"

    def __str__(self) -> str:
        return "\n\n".join([self.summary(), *self.failures.values(), *self.errors])


def fuzz(
    url: str,
    document: dict[str, Any],
    keys: Mapping[str, list[str]],
    names: Mapping[str, Iterable[object]],
    *,
    examples: int,
    seed: int = 1,
    phases: Iterable[str] = ("examples", "coverage", "fuzzing"),
    progress: bool = False,
) -> Tally:
    """Sends up to so many requests an operation, and more for the corners of its schema.

    `keys` = by role; `names` = what exists, by the field that names it.
    """
    schema = schemathesis.openapi.from_dict(_closed(document), config=_config(url, names, examples, seed, phases))
    schema.auth(refresh_interval=None)(_keyring(keys, seed))
    tally = Tally()
    begun = time.monotonic()
    for event in from_schema(schema).execute():
        match event:
            case events.ScenarioFinished():
                _count(tally, event)
                if progress and time.monotonic() - begun > EVERY_S:
                    begun = time.monotonic()
                    print(tally.summary(), flush=True)
            case events.NonFatalError():
                tally.errors.append(f"{event.label}: {event.value!r}")
            case events.FatalError():
                raise event.exception
    return tally


def _config(
    url: str, names: Mapping[str, Iterable[object]], examples: int, seed: int, phases: Iterable[str]
) -> SchemathesisConfig:
    known = {name: {"values": list(values)} for name, values in names.items()}
    places = ("path.{}", "query.{}", "body.{}", "body.items[*].{}")
    bound = {place.format(name): {"dictionary": name, "probability": KNOWN} for name in known for place in places}
    wanted = set(phases)
    every = ("examples", "coverage", "fuzzing", "stateful")
    return SchemathesisConfig.from_dict(
        {
            "base-url": url,
            "seed": seed,
            "continue-on-failure": True,
            "dictionaries": known,
            "parameters": bound,
            "cache": {"enabled": False},
            "generation": {
                "max-examples": examples,
                "deterministic": True,
                "no-shrink": True,
                "with-security-parameters": False,
            },
            "phases": {phase: {"enabled": phase in wanted} for phase in every}
            | {"coverage": {"enabled": "coverage" in wanted, "unexpected-methods": ["TRACE", "DELETE"]}},
            "checks": {"enabled": False, **{check: {"enabled": True} for check in CHECKS}},
            "suppress-health-check": ["all"],
            "warnings": False,
        }
    )


def _closed(document: dict[str, Any]) -> dict[str, Any]:
    """The same, where no object may have a field that is not named."""
    components = document["components"]
    closed = {
        name: {"additionalProperties": False, **schema} if "properties" in schema else schema
        for name, schema in components["schemas"].items()
    }
    return {**document, "components": {**components, "schemas": closed}}


def _keyring(keys: Mapping[str, list[str]], seed: int) -> type:
    """Who asks: mostly somebody who may."""
    dice = random.Random(seed)
    everybody = [key for of_role in keys.values() for key in of_role]

    class Keyring:
        def get(self, case: Any, _: Any) -> str:
            roles = case.operation.definition.raw.get("x-roles", [])
            own = [key for role in roles for key in keys[role]]
            return dice.choice(own if own and dice.random() < OWN_ROLES else everybody)

        def set(self, case: Any, data: str, _: Any) -> None:
            case.headers["Authorization"] = f"Bearer {data}"
            key = case.headers.get("Idempotency-Key")
            if isinstance(key, str) and _A_KEY.fullmatch(key) and dice.random() < NEW_KEYS:
                case.headers["Idempotency-Key"] = f"{key}{dice.getrandbits(32)}"

    return Keyring


def _count(tally: Tally, event: events.ScenarioFinished) -> None:
    for case_id, interaction in event.recorder.interactions.items():
        if interaction.response is None:
            tally.errors.append(f"{event.label}: no answer to {interaction.request.method} {interaction.request.uri}")
            continue
        tally.requests += 1
        tally.by_status[interaction.response.status_code] += 1
        tally.by_operation.setdefault(event.recorder.label, Counter())[interaction.response.status_code] += 1
        for check in event.recorder.checks.get(case_id, ()):
            if check.failure_info is not None and not _of_an_item(check.name, interaction.response):
                failure = check.failure_info.failure
                about = f"{event.recorder.label}: {failure.title}: {failure.message}"
                sent = interaction.request
                tally.failures.setdefault(
                    f"{event.recorder.label} {check.name} {failure.title}",
                    f"{about}\n{sent.method} {sent.uri} {sent.body!r} -> {interaction.response.content[:600]!r}",
                )


def _of_an_item(check: str, response: Any) -> bool:
    """Items of batches are refused one by one, in an answer of 200."""
    if check != "negative_data_rejection" or response.status_code != 200:
        return False
    return "invalid_request" in _codes_in(response.json())


@schemathesis.check
def declared_codes(_: Any, response: Any, case: Any) -> None:
    """Every code, of a problem or within an answer, is one that the endpoint declares."""
    if "json" not in "".join(response.headers.get("content-type", ["json"])) or response.status_code == 405:
        return
    operation = case.operation.definition.raw
    body = response.json()
    if response.status_code < 400:
        undeclared = set(_codes_in(body)) - set(operation["x-codes-within"])
        assert not undeclared, f"codes within the answer that are not declared: {sorted(undeclared)}"


def _codes_in(answer: Any) -> Iterable[str]:
    """Of a decision, of results, and of their errors."""
    if isinstance(answer, dict):
        for one in [answer, *answer.get("results", ())]:
            for told in (one, one.get("error") or {}):
                if isinstance(told.get("code"), str):
                    yield told["code"]
