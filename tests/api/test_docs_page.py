"""`/docs`: a page that needs nothing but this server."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from .conftest import World

LOADING = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data"}
POLICY = {
    "default-src": {"'none'"},
    "script-src": {"'self'"},
    "style-src": {"'self'"},
    "img-src": {"'self'", "data:"},
    "connect-src": {"'self'"},
    "base-uri": {"'none'"},
    "form-action": {"'none'"},
    "frame-ancestors": {"'none'"},
}


class Page(HTMLParser):
    """What a page loads, and what of its code stands in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.within: list[str] = []
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        named = dict(attrs)
        self.loaded += [found] if (found := named.get(LOADING.get(tag, ""))) else []
        self.within += [name for name in named if name.startswith("on") or name == "style"]

    def handle_data(self, data: str) -> None:
        if self._open in {"script", "style"} and data.strip():
            self.within.append(data)


async def test_the_page_loads_from_this_server_only(world: World) -> None:
    reply = await world.get("/docs", role=None)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    page = Page(reply.body)
    assert page.within == [], "what stands in the page itself would need a weaker policy"
    assert page.loaded == ["data:,", "docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/start.js"]
    for asset in page.loaded[1:]:
        loaded = await world.get(urlsplit(urljoin(world.url + "/docs", asset)).path, role=None)
        assert loaded.status == 200, asset
        assert policy(loaded.headers) == POLICY
        assert foreign(asset, loaded.raw.decode()) == [], asset


def foreign(name: str, text: str) -> list[str]:
    """What of a style sheet or script would be loaded from elsewhere, by its own words; addresses that are only
    compared, shown or followed by a click are none."""
    if name.endswith(".css"):
        found = [*re.findall(r"url\(\s*['\"]?([^'\")]+)", text), *re.findall(r"@import\s+['\"]([^'\"]+)", text)]
        return [one for one in found if not one.startswith(("data:", "#"))]
    loads = r"(?:fetch|import|importScripts|open|Worker|EventSource|WebSocket)\(\s*['\"`]((?:https?:|wss?:)?//[^'\"`]+)"
    return re.findall(loads, text) + re.findall(r"\.src\s*=\s*['\"`]((?:https?:)?//[^'\"`]+)", text)


def policy(headers: dict[str, str]) -> dict[str, set[str]]:
    parts = [part.split() for part in headers["Content-Security-Policy"].split(";")]
    return {name: set(values) for name, *values in parts}


async def test_the_policy_forbids_the_rest(world: World) -> None:
    for path in ("/docs", "/openapi.json", "/docs/start.js"):
        reply = await world.get(path, role=None)
        assert policy(reply.headers) == POLICY, path
        assert reply.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_page_shows_the_description_and_asks_no_validator(world: World) -> None:
    start = (await world.get("/docs/start.js", role=None)).body
    assert 'url: "openapi.json"' in start
    assert "validatorUrl: null" in start
    assert "persistAuthorization: false" in start, "a key that was typed is forgotten with the page"


async def test_the_pages_that_the_description_names_can_be_read_there(world: World) -> None:
    about = (await world.get("/openapi.json", role=None)).body["info"]["description"]
    linked = re.findall(r"\]\((docs/[^)]+)\)", about)
    assert {"docs/quickstart.md", "docs/api.md", "docs/webhooks.md"} <= set(linked)
    for path in linked:
        page = (Path(__file__).parents[2] / path).read_text()
        assert (await world.get(f"/{path}", role=None)).body == page, path
