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


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    etag: str


class PageFiles:
    """Every file of the folder, read once: what is served fits together although an upgrade replaces them."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files: Mapping[str, _File] = {
            path.name: _read(path) for path in sorted(folder.iterdir()) if path.suffix in TYPES
        }
        together = "".join(name + file.etag for name, file in self._files.items())
        self.release = hashlib.sha256(together.encode()).hexdigest()[:16]
        """Names this state of all files."""

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


def _read(path: Path) -> _File:
    content = path.read_bytes()
    return _File(content, TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
