"""Whom a text reaches: a recipient token names a binding, and its present recipient may be texted, or not."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model.call_policy import Policies
from vnum.model.call_rules import text_caps
from vnum.model.ids import cell_in
from vnum.model.numbers import NumberError, parse_number
from vnum.model.orders import READABLE
from vnum.model.phones import PhoneError, is_mobile, parse_recipient
from vnum.model.refusals import Code, Refused
from vnum.service.registry import Registry
from vnum.store import messages as stored
from vnum.store.database import Database
from vnum.vault import Vault

OptedOut = Callable[[bytes, str], Awaitable[bool]]
"""Whether the recipient (by the fingerprint of his phone) wants no text of the merchant."""


class TextRecipient(msgspec.Struct, frozen=True):
    """`caps` as of `text_caps`; None = as many texts as come."""

    order_id: str
    binding_id: UUID
    phone: str
    fingerprint: bytes
    caps: list[int] | None

    def __repr__(self) -> str:
        return f"TextRecipient({self.binding_id})"


class TextRecipients:
    def __init__(
        self,
        database: Database,
        vault: Vault,
        registry: Registry,
        cells: int,
        opted_out: OptedOut,
        policies: Policies,
    ) -> None:
        self._database = database
        self._vault = vault
        self._registry = registry
        self._cells = cells
        self._opted_out = opted_out
        self._policies = policies

    async def of(self, token: str, merchant_id: str, *, prints: bool) -> TextRecipient:
        """Whom the token reaches now; `prints` = also before the order is shipped. Raises Refused."""
        binding_id = self._vault.tokens.read(token, merchant_id)
        if binding_id is None or cell_in(binding_id) >= self._cells:
            raise self._no_token(token)
        record = await stored.recipient(self._database, cell_in(binding_id), binding_id, merchant_id)
        if record is None:
            raise self._no_token(token)
        _check(record, prints=prints)
        if await self._opted_out(record["recipient_hash"], merchant_id):
            raise Refused(Code.RECIPIENT_OPTED_OUT, "the recipient wants no texts")
        await self._vault.know(record["key_id"])
        if not self._vault.opens(record["key_id"]):
            raise _erased()
        phone = self._vault.open(record["recipient"], record["binding_id"], key_id=record["key_id"])
        number = phone.partition(";")[0]
        if self._registry.owns(number):
            raise Refused(Code.SMS_NOT_SUPPORTED, "a virtual number takes no texts")
        if not is_mobile(number.removeprefix("+86")):
            raise Refused(Code.SMS_NOT_POSSIBLE, "the recipient's phone is a fixed line: it takes no texts")
        caps = text_caps(self._policies.over(record["policy"]), self._policies.platform)
        return TextRecipient(record["order_id"], record["binding_id"], number, record["recipient_hash"], caps)

    def _no_token(self, text: str) -> Refused:
        """People put numbers where tokens belong; a virtual one is told to take no texts."""
        if self._is_virtual(text):
            return Refused(Code.SMS_NOT_SUPPORTED, "a virtual number takes no texts; send the recipient_token")
        return Refused(Code.RECIPIENT_TOKEN_INVALID, "recipient_token: not one of this merchant's bindings")

    def _is_virtual(self, text: str) -> bool:
        try:
            return self._registry.has(parse_number(text).host)
        except NumberError:
            pass
        try:
            return self._registry.owns(parse_recipient(text).e164)
        except PhoneError:
            return self._registry.has(text)


def _check(record: Record, *, prints: bool) -> None:
    """Raises Refused: merchant_suspended, order_not_shipped, recipient_erased."""
    if record["merchant_state"] == "suspended":
        raise Refused(Code.MERCHANT_SUSPENDED, "the merchant is suspended")
    if not prints and record["order_status"] not in READABLE:
        raise Refused(Code.ORDER_NOT_SHIPPED, "its recipient can be reached once the order is shipped")
    if record["recipient"] is None:
        raise _erased()


def _erased() -> Refused:
    return Refused(Code.RECIPIENT_ERASED, "the recipient's phone was erased")
