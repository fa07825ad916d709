"""The page at `/`: what users see now, and a form to be one of them. No build step, nothing from other hosts."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

PAGE = Path(__file__).with_name("page.html")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


async def _page(request: Request) -> Response:
    """GET /: the page holds no data; its script asks the control API, with the token from the address's fragment."""
    return HTMLResponse(PAGE.read_text("utf-8"), headers=HEADERS)


def page_routes() -> list[Route]:
    """Return the page's route."""
    return [Route("/", _page, methods=["GET"])]
