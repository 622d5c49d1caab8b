"""Where requests may go: URLs and addresses that strangers name, as tables."""

import pytest

from vnum.outside.addresses import Reach, UrlRefused, check_address, check_url

P, L, A = Reach.PUBLIC, Reach.LOOPBACK, Reach.ALLOW

# Address -> how far a request must be allowed to reach; None = it may never go there.
ADDRESSES: dict[str, Reach | None] = {
    "8.8.8.8": P,
    "223.5.5.5": P,
    "2400:3200::1": P,
    "127.0.0.1": L,
    "127.8.9.1": L,
    "::1": L,
    "::ffff:127.0.0.1": L,
    "10.0.0.5": A,
    "172.16.0.1": A,
    "192.168.1.1": A,
    "100.64.0.1": A,
    "198.18.0.1": A,
    "192.0.2.1": A,
    "240.0.0.1": A,
    "255.255.255.255": A,
    "fc00::1": A,
    "fd12:3456::1": A,
    "::ffff:10.0.0.5": A,
    "64:ff9b::a00:5": A,
    "64:ff9b::808:808": P,
    "2002:0a00:0005::1": A,
    "2002:7f00:0001::1": L,
    "::10.0.0.5": A,
    "169.254.169.254": None,
    "169.254.1.1": None,
    "::ffff:169.254.169.254": None,
    "64:ff9b::a9fe:a9fe": None,
    "2002:a9fe:a9fe::1": None,
    "100.100.100.200": None,
    "fd00:ec2::254": None,
    "fe80::1": None,
    "fec0::1": None,
    "64:ff9b:1::7f00:1": None,
    "::ffff:0:7f00:1": None,
    "168.63.129.16": None,
    "192.0.0.192": None,
    "0.0.0.0": None,  # noqa: S104
    "0.1.2.3": None,
    "::": None,
    "224.0.0.1": None,
    "ff02::1": None,
}
ORDER = (P, L, A)


@pytest.mark.parametrize(("address", "needs"), ADDRESSES.items(), ids=ADDRESSES)
@pytest.mark.parametrize("reach", ORDER)
def test_an_address_is_reached_only_as_far_as_allowed(address: str, needs: Reach | None, reach: Reach) -> None:
    if needs is not None and ORDER.index(reach) >= ORDER.index(needs):
        check_address(address, reach)
    else:
        with pytest.raises(UrlRefused):
            check_address(address, reach)


URLS: dict[str, Reach | None] = {
    "https://shop.example.com/hook": P,
    "https://shop.example.com:8443/hook?a=b": P,
    "https://8.8.8.8/hook": P,
    "https://localhost/hook": P,  # its address is refused when it is sent
    "https://127.0.0.1/hook": L,
    "http://127.0.0.1:9000/hook": L,
    "http://localhost:9000/hook": L,
    "http://[::1]:9000/hook": L,
    "https://10.0.0.5/hook": A,
    "http://10.0.0.5/hook": A,
    "http://shop.example.com/hook": A,
    "http://169.254.169.254/latest/meta-data": None,
    "https://[::ffff:169.254.169.254]/": None,
    "https://user:pass@shop.example.com/hook": None,
    "https://user@shop.example.com/hook": None,
    "https://shop.example.com/hook#part": None,
    "https://shop.example.com:0/hook": None,
    "https://shop.example.com:99999/hook": None,
    "https:///hook": None,
    "ftp://shop.example.com/hook": None,
    "file:///etc/passwd": None,
    "shop.example.com/hook": None,
    "https://shop.example.com\\@10.0.0.5/": None,
    "https://shop.example.com/a b": None,
    "https://shop.example.com/\r\nX: y": None,
    "https://sh\u00f6p.example.com/": None,
    "https://[::1": None,
    "https://shop.example.com/" + "x" * 500: None,
    "": None,
}


@pytest.mark.parametrize(("url", "needs"), URLS.items(), ids=[url[:50] for url in URLS])
@pytest.mark.parametrize("reach", ORDER)
def test_a_url_is_taken_only_as_far_as_allowed(url: str, needs: Reach | None, reach: Reach) -> None:
    if needs is not None and ORDER.index(reach) >= ORDER.index(needs):
        check_url(url, reach)
    else:
        with pytest.raises(UrlRefused) as refused:
            check_url(url, reach)
        assert url == "" or url not in str(refused.value)
