"""Who may call: the roles of each route are declared beside it, as one of the sets below.

| set | roles | why |
|---|---|---|
| ADMINS | admin | hosts and the pool |
| PLATFORMS | platform, admin | an admin may do what a platform may |
| READERS | courier, merchant, isv, platform, admin | the current number of an order |
| SHOPS | merchant, isv, platform, admin | the binding of an order |
| FINANCE | finance, admin | invoices; records that were not taken |
| PRICERS | finance, platform, admin | which tariff a merchant pays |
| PAYERS | merchant, isv, finance, platform, admin | usage, calls, disputes: who pays for them, and who bills them |
| SPENDERS | merchant, platform, finance, admin | what he spent of what he may |
| KEEPERS | merchant, platform, admin | who may ring for a merchant, and who not |
| GRANTORS | merchant, platform, admin | which service providers (isv) may act for a merchant |
| LOOKERS | finance, switch, platform, admin | calls that nobody reported: a switch that has their records sends them |
| SWITCHES | switch | calls: only a switch is ever told a real number, so nobody else, not even an admin |
| ANYONE | without a key | health |
"""

from typing import Final

from vnum.service.keys import Caller, Role

ADMINS: Final = frozenset({Role.ADMIN})
PLATFORMS: Final = frozenset({Role.PLATFORM, Role.ADMIN})
SHOPS: Final = frozenset({Role.MERCHANT, Role.ISV}) | PLATFORMS
READERS: Final = frozenset({Role.COURIER}) | SHOPS
FINANCE: Final = frozenset({Role.FINANCE, Role.ADMIN})
PRICERS: Final = FINANCE | PLATFORMS
PAYERS: Final = SHOPS | FINANCE
SPENDERS: Final = PAYERS - {Role.ISV}
KEEPERS: Final = frozenset({Role.MERCHANT}) | PLATFORMS
GRANTORS: Final = frozenset({Role.MERCHANT}) | PLATFORMS
LOOKERS: Final = FINANCE | PLATFORMS | {Role.SWITCH}
SWITCHES: Final = frozenset({Role.SWITCH})
ANYONE: Final[frozenset[Role]] = frozenset()

NOBODY: Final = Caller(key_id="", role=Role.SWITCH, merchants=frozenset(), carrier="")
"""The caller of an open route; he sees nothing."""

PRINTERS: Final = frozenset({Role.COURIER, Role.PLATFORM, Role.ADMIN})
"""Who reads a number from the waybill on; others wait until the order is shipped."""
