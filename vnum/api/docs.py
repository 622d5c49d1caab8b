"""The description of the API as callers get it: `/openapi.json`, and `/docs`, a page to read it and to try calls out.

The page is Swagger UI, out of a wheel; nothing is loaded from anywhere else, and its policy would not let it. A key
that is typed there stays in the page's memory.
"""

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import hdrs, web

from vnum.api.endpoint import Endpoint
from vnum.api.openapi import describe

WHEEL: Final = "mkdocs_swagger_ui_tag"
ASSETS: Final = {
    "swagger-ui.css": ("swagger-ui/stylesheets/swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": ("swagger-ui/javascripts/swagger-ui-bundle.js", "text/javascript"),
}
"""Files of the wheel, by the names under which the page asks for them."""

GUIDES: Final = Path(__file__).with_name("guides")
"""The pages of `docs/` that those who call the API need; the description names them by the paths they have there."""

PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>vnum: the HTTP API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
START: Final = """\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  persistAuthorization: false,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def add_docs(app: web.Application, endpoints: Sequence[Endpoint]) -> None:
    """Both paths, for anyone. What is sent is made when it is asked for first."""

    def document() -> bytes:
        return msgspec.json.encode(describe(endpoints))

    app.router.add_get("/openapi.json", _sending(document, "application/json"))
    app.router.add_get("/docs", _sending(PAGE.encode, "text/html"))
    app.router.add_get("/docs/start.js", _sending(START.encode, "text/javascript"))
    for guide in sorted(GUIDES.glob("*.md")):
        app.router.add_get(f"/docs/{guide.name}", _sending(guide.read_bytes, "text/plain"))
    for name, (file, kind) in ASSETS.items():
        app.router.add_get(f"/docs/{name}", _sending((_wheel() / file).read_bytes, kind, max_age_s=86_400))


def _sending(
    read: Callable[[], bytes], kind: str, max_age_s: int = 0
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Read and packed once, beside the loop: some of it is large. One thread at a time: to describe the types costs a
    second of a processor, and msgspec fails where two do it at once."""
    making = asyncio.Lock()
    ready: dict[bool, bytes] = {}

    def make(packed: bool) -> None:
        if False not in ready:
            ready[False] = read()
        if packed:
            ready[True] = gzip.compress(ready[False])

    async def made(packed: bool) -> bytes:
        if packed not in ready:
            async with making:
                if packed not in ready:
                    await asyncio.to_thread(make, packed)
        return ready[packed]

    async def send(request: web.Request) -> web.Response:
        packed = "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "")
        headers = {**_HEADERS, hdrs.CACHE_CONTROL: f"max-age={max_age_s}", hdrs.VARY: hdrs.ACCEPT_ENCODING}
        if packed:
            headers[hdrs.CONTENT_ENCODING] = "gzip"
        return web.Response(body=await made(packed), content_type=kind, charset="utf-8", headers=headers)

    return send


def _wheel() -> Path:
    """Where the wheel's files are; its code is not run."""
    spec = find_spec(WHEEL)
    assert spec is not None, f"{WHEEL} is not installed"
    assert spec.origin is not None
    return Path(spec.origin).parent
