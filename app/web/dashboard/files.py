"""The dashboard's page and its parts: plain files, no build step, nothing from other hosts. They hold no data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.responses import PlainTextResponse, Response

FOLDER: Final = Path(__file__).with_name("page")
PAGE: Final = "index.html"
TYPES: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",  # kept, and asked for each time whether it is still the same
}


PLACE_OF_RELEASE: Final = b"{release}"


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    etag: str


class PageFiles:
    """Every file of the folder, read once: what is served fits together although an upgrade replaces them.

    `release` names this state of all files. The page carries it, so that it can tell that it is outdated.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        contents = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in TYPES}
        self.release = _digest(b"".join(name.encode() + content for name, content in contents.items()))
        contents[PAGE] = contents[PAGE].replace(PLACE_OF_RELEASE, self.release.encode())
        self._files: Mapping[str, _File] = {
            name: _File(content, TYPES[Path(name).suffix], f'"{_digest(content)}"')
            for name, content in contents.items()
        }

    def answer(self, name: str, if_none_match: str | None) -> Response:
        """Return a file; 304 if the browser has it; 404 if there is none of that name."""
        file = self._files.get(name)
        if file is None:
            return PlainTextResponse("There is no such file.\n", 404, headers=HEADERS)
        headers = HEADERS | {"etag": file.etag}
        known = [etag.strip().removeprefix("W/") for etag in (if_none_match or "").split(",")]
        if file.etag in known:
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers=headers, media_type=file.media_type)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
