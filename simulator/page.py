"""The playground at `/`: what users see in Discord, and the means to be one of them. Its files are in `playground/`.

No build step and nothing from other hosts: plain modules, one style sheet. The page holds no data and no secret; its
script asks the control API, with the token from the address's fragment, which a browser never sends to a server.
"""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

PLAYGROUND = Path(__file__).with_name("playground")
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # an update of the checkout shows at once
}


async def _page(request: Request) -> Response:
    """GET /: the page."""
    return _file("index.html")


async def _asset(request: Request) -> Response:
    """GET /playground/NAME: one of the page's own files, or 404."""
    return _file(str(request.path_params["name"]))


def _file(name: str) -> Response:
    """Answer with a file of the playground's folder; the name has no slash, and only known types are given away."""
    path = PLAYGROUND / name
    if path.suffix not in TYPES or path.name != name or not path.is_file():
        return PlainTextResponse("There is no such file.", 404, headers=HEADERS)
    return Response(path.read_bytes(), headers=HEADERS, media_type=TYPES[path.suffix])


async def _favicon(request: Request) -> Response:
    """GET /favicon.ico: browsers ask for it unasked; the page names its own icon."""
    return _file("quartet.svg")


def page_routes() -> list[Route]:
    """Return the page's routes."""
    return [
        Route("/", _page, methods=["GET"]),
        Route("/playground/{name}", _asset, methods=["GET"]),
        Route("/favicon.ico", _favicon, methods=["GET"]),
    ]
