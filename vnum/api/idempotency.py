"""`Idempotency-Key`: a POST repeated under its key is answered as the first time, and nothing is done again.

Kept for 24 hours, by API key and path. Only final answers are: not what a later repeat may better (5xx, 401, 403, a
batch with such an item, `no_number_available`).

Where the answer is written:
- extend and a note on an invoice are not idempotent by themselves, so their answer is kept in the transaction that
  extends or notes: both or neither.
- Everything else repeats without harm, so its answer is kept right after the effect. A crash in between loses the
  answer only: a bind comes to the same live binding (200 in place of 201), a release, a record and a close to what they
  came to before. Registering a merchant or host is answered 409 `..._exists` then, which says that it is there;
  deciding a review or resolving a dispute 409 `..._decided` or `..._resolved`, opening one `dispute_open`.
- route is asked anew each time, since what it answers holds for this moment and carries a phone: under its key only
  the request is kept, so that another one is refused.

Who is tied to other merchants by now (a grant was withdrawn, or given) is asked anew as well, since the kept answer may
tell of one that he must not see any more: he is refused as every fresh request of his is. What may be done once only is
undone then, because its answer stands, and that is given.

The key is claimed for its request before anything is done, so another request under it is refused without an effect.
Two at once with one key: in a process the second waits; between processes PostgreSQL takes one answer, and the other
request (whose extension is undone by that) gives the same.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final
from weakref import WeakValueDictionary

import msgspec
from aiohttp import web

from vnum.api.answers import Answer, problem_answer
from vnum.api.problems import of_trouble
from vnum.model.masking import masked_text
from vnum.model.refusals import Code, Refused
from vnum.service.answers import Answers, Kept
from vnum.service.keys import Caller
from vnum.store.database import Connection

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
MOST_CHARACTERS: Final = 200
_PLAIN_PATH: Final = 200
_PASSING: Final = frozenset({401, 403})
_FLEETING: Final = frozenset({Code.NO_NUMBER_AVAILABLE})


class AnsweredAlready(Exception):
    """Another request under the same key was answered first, and that answer counts."""


class Once(msgspec.Struct, frozen=True):
    """One request under a key, of which `key` is the digest."""

    answers: Answers
    scope: str
    key: str
    digest: bytes

    async def keep(self, answer: Answer, connection: Connection | None = None) -> None:
        """Raises AnsweredAlready."""
        body = b"" if answer.fresh else answer.body
        if not await self.answers.keep(self.scope, self.key, Kept(self.digest, answer.status, body), connection):
            raise AnsweredAlready

    async def kept(self) -> Answer | None:
        """The answer that was given; None = the key is this request's now. Raises Refused (idempotency_mismatch)."""
        found = await self.answers.claim(self.scope, self.key, self.digest)
        if found is None:
            return None
        if found.digest != self.digest:
            raise Refused(Code.IDEMPOTENCY_MISMATCH, f"this {HEADER} came with another request before; take a new key")
        if not found.status:
            return None
        again = Answer(found.status, found.body, fresh=not found.body, replayed=True)
        return again if found.tie == self.answers.tie() else msgspec.structs.replace(again, outdated=True)


class Repeats:
    """Answers each key once in this process at a time."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def once(self, request: web.Request, caller: Caller, body: bytes) -> Once | None:
        """None = no key was sent. Raises Refused (invalid_request)."""
        key = request.headers.get(HEADER)
        if key is None:
            return None
        if not (1 <= len(key) <= MOST_CHARACTERS and key.isascii() and key.isprintable()):
            raise Refused(Code.INVALID_REQUEST, f"{HEADER}: 1 to {MOST_CHARACTERS} printable ASCII characters")
        path, query = request.rel_url.raw_path, request.rel_url.raw_query_string
        if len(path) > _PLAIN_PATH or masked_text(request.path) != request.path:
            path = self._answers.digest(path.encode()).hex()
        digest = self._answers.digest(query.encode() + b"\0" + body)
        named = self._answers.digest(key.encode()).hex()  # people make keys of phones: only what tells it again is kept
        return Once(self._answers, f"{caller.key_id} {path}", named, digest)

    async def answer(self, once: Once, run: Callable[[], Awaitable[Answer]]) -> Answer:
        """What was answered before, or what `run` answers now."""
        async with self._lock_of(once):
            before = await once.kept()
            if before is not None and not before.fresh and not before.outdated:
                return before
            try:
                answer = await _run(run)
                if before is None and not answer.kept and _final(answer):
                    await once.keep(answer)
            except AnsweredAlready:
                kept = await once.kept()
                assert kept is not None, "it stands for 24 hours"
                return answer if kept.fresh else kept
            return answer

    def _lock_of(self, once: Once) -> asyncio.Lock:
        return self._locks.setdefault((once.scope, once.key), asyncio.Lock())


async def _run(run: Callable[[], Awaitable[Answer]]) -> Answer:
    """A refusal is an answer too."""
    try:
        return await run()
    except AnsweredAlready:
        raise
    except Exception as trouble:
        return problem_answer(of_trouble(trouble))


def _final(answer: Answer) -> bool:
    return answer.final and answer.status < 500 and answer.status not in _PASSING and answer.code not in _FLEETING
