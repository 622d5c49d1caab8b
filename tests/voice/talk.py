"""An order whose phones have numbers and tones of their own, and the talk of two of them."""

import asyncio
import time
from dataclasses import dataclass

from vnum.model.bindings import Binding
from vnum.voice.softphone.call import Call, Incoming
from vnum.voice.softphone.sound import tone


def caller_number(n: int) -> str:
    return f"137{n:08}"


def callee_number(n: int) -> str:
    return f"139{n:08}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The nth order: its number, and the phones of caller and recipient with their tones."""

    n: int
    merchant_id: str
    binding: Binding

    @property
    def caller(self) -> str:
        return caller_number(self.n)

    @property
    def callee(self) -> str:
        return callee_number(self.n)

    @property
    def tones(self) -> tuple[int, int]:
        """Caller's and callee's, in Hz; 24 orders have tones of their own."""
        return tone(2 * self.n), tone(2 * self.n + 1)


@dataclass
class Talk:
    """Both sides of a call that was answered. `out` = who dialled; of an ordered call, the agent, who was rung."""

    order: Order
    out: Call
    came: Incoming

    async def both_ways(self, seconds: float = 0.3, since: float = 0.0) -> None:
        """Until each has heard that much of the other."""
        mine, theirs = self.order.tones
        await self.came.sound.until_tone(mine, seconds, since)
        await self.out.sound.until_tone(theirs, seconds, since)

    @property
    def least_s(self) -> float:
        """Talk that is beyond doubt: from the ACK of the callee's answer to the first BYE."""
        return self.parted - self.came.acknowledged

    @property
    def most_s(self) -> float:
        """From the callee's answer until both sides knew of the end."""
        return max(self.out.ended, self.came.ended) - self.came.answered

    @property
    def parted(self) -> float:
        return min(self.out.parted, self.came.parted)

    async def until(self, at: float) -> None:
        """They talk on to that time, in seconds since 1970."""
        await asyncio.sleep(at - time.time())

    async def end(self) -> None:
        """The caller hangs up."""
        self.out.hang_up()
        await self.over()

    async def over(self) -> None:
        await self.out.until("ended")
        await self.came.until("ended")
