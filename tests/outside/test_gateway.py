"""The gateway's settings: what can not be used says so."""

from pathlib import Path

import pytest

from vnum.outside.gateway import GatewayError, HttpGateway, open_gateway

URL = "https://sms.example.com/send"


def key(folder: Path, text: str = "k", mode: int = 0o600) -> Path:
    path = folder / "gateway.key"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("url", "text", "mode"),
    [
        (URL, None, 0),
        (URL, "k", 0o644),
        (URL, "", 0o600),
        (URL, "a\nb", 0o600),
        (None, "k", 0o600),
        ("ftp://sms.example.com", "k", 0o600),
        ("https://u:p@sms.example.com", "k", 0o600),
    ],
)
def test_settings_that_can_not_be_used(tmp_path: Path, url: str | None, text: str | None, mode: int) -> None:
    file = tmp_path / "missing" if text is None else key(tmp_path, text, mode)
    with pytest.raises(GatewayError):
        open_gateway(url, file)


def test_one_of_the_two_is_not_enough() -> None:
    with pytest.raises(GatewayError):
        open_gateway(URL, None)
    assert open_gateway(None, None) is None


def test_a_gateway_may_be_in_own_networks(tmp_path: Path) -> None:
    assert isinstance(open_gateway("http://10.0.0.5/send", key(tmp_path)), HttpGateway)
