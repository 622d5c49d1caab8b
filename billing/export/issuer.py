"""Who issues what finance takes home: the settings of the day, since the ledger knows the series only."""

from typing import Final

import msgspec

FAPIAO_ITEM: Final = "虚拟号码服务费"


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """`name` = the legal name; `fapiao_item` = what a 发票 says was sold."""

    name: str | None = None
    tax_no: str | None = None
    fapiao_item: str = FAPIAO_ITEM

    def beside(self, series: str) -> str:
        """The name with the prefix of the numbers, or the prefix alone."""
        return series if self.name is None else f"{self.name}（{series}）"


NOBODY: Final = Issuer()
