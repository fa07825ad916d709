"""`/dashboard`, its files and its events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response

from app.web.dashboard.feed import Feed
from app.web.dashboard.files import PAGE, PageFiles

METHODS = ["GET", "HEAD"]
IfNoneMatch = Annotated[str | None, Header()]


def dashboard_routes(files: PageFiles, feed: Feed) -> APIRouter:
    """Return the routes of the dashboard."""
    router = APIRouter()

    async def page(if_none_match: IfNoneMatch = None) -> Response:
        """The page; it asks for the rest."""
        return files.answer(PAGE, if_none_match)

    async def events() -> Response:
        """The system's picture, once a second."""
        return feed.open()

    async def part(name: str, if_none_match: IfNoneMatch = None) -> Response:
        """One of the page's files."""
        return files.answer(name, if_none_match)

    router.add_api_route("/dashboard", page, methods=METHODS)
    router.add_api_route("/dashboard/events", events, methods=METHODS)
    router.add_api_route("/dashboard/{name}", part, methods=METHODS)
    return router
