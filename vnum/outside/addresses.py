"""Which addresses a request may go to: strangers name the URLs, so none may lead into the operator's own network."""

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

MOST_URL: Final = 500
_HTTPS: Final = "https"
_HTTP: Final = "http"

Address = IPv4Address | IPv6Address


class Reach(StrEnum):
    """How far requests may go: the public internet by https; also this machine; also the operator's own networks (the
    two latter by http too)."""

    PUBLIC = "public"
    LOOPBACK = "loopback"
    ALLOW = "allow"


_NEVER: Final[tuple[IPv4Network | IPv6Network, ...]] = tuple(
    map(
        ip_network,
        (
            *("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32", "168.63.129.16/32"),
            *("192.0.0.0/24", "0.0.0.0/8", "::/128", "fec0::/10", "64:ff9b:1::/48", "::ffff:0:0:0/96"),
        ),
    )
)
"""Link-local, where clouds keep their machines' secrets; what means "this host" by accident; site-local; and networks
of translators, which a local one may lead anywhere: refused always."""

_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_TEREDO: Final = IPv6Network("2001::/32")
_NAT64: Final = IPv6Network("64:ff9b::/96")


class UrlRefused(ValueError):
    """A URL or address that no request may go to; says why, without the URL."""


def check_url(url: str, reach: Reach) -> None:
    """The rules that the text alone can break; the address is looked at when a request is sent. Raises UrlRefused."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url or len(url) > MOST_URL:
        raise UrlRefused(f"at most {MOST_URL} printable ASCII characters, without spaces")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UrlRefused("it can not be read as a URL") from None
    if parts.scheme not in (_HTTPS, _HTTP) or not parts.hostname:
        raise UrlRefused("write it as https://host/path")
    if parts.username is not None or parts.password is not None:
        raise UrlRefused("no user and password in it: requests are signed")
    if parts.fragment or port == 0:
        raise UrlRefused("no #fragment, and no port 0")
    if parts.scheme == _HTTP and not _may_be_plain(parts.hostname, reach):
        raise UrlRefused("https only")
    address = _literal(parts.hostname)
    if address is not None:
        check_address(address, reach)


def check_address(address: str | Address, reach: Reach) -> None:
    """Raises UrlRefused unless requests may go there."""
    found = _real(ip_address(address) if isinstance(address, str) else address)
    if any(found in network for network in _NEVER if network.version == found.version) or found.is_multicast:
        raise UrlRefused("no request goes to link-local, metadata or multicast addresses")
    if found.is_loopback:
        if reach is Reach.PUBLIC:
            raise UrlRefused("no request goes to this machine")
    elif not found.is_global and reach is not Reach.ALLOW:
        raise UrlRefused("no request goes to private or reserved addresses")


def _may_be_plain(hostname: str, reach: Reach) -> bool:
    if reach is Reach.ALLOW:
        return True
    address = _literal(hostname)
    is_here = hostname == "localhost" or (address is not None and address.is_loopback)
    return reach is Reach.LOOPBACK and is_here


def _literal(hostname: str) -> Address | None:
    try:
        return ip_address(hostname.strip("[]"))
    except ValueError:
        return None


def _real(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, if it does: the network would take it there."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(address.packed[12:])
    if address in _SIX_TO_FOUR and address.sixtofour is not None:
        return address.sixtofour
    if address in _TEREDO and address.teredo is not None:
        return address.teredo[1]
    if address.packed[:12] == bytes(12) and address.packed[12:] > bytes((0, 0, 0, 1)):
        return IPv4Address(address.packed[12:])  # "IPv4-compatible", long out of use
    return address
