"""A strict reader of `multipart/form-data` bodies held in memory (RFC 7578, RFC 2046)."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser


class MultipartError(ValueError):
    """The body is not the multipart form its header promises."""


@dataclass(frozen=True, slots=True)
class Part:
    """One field: `filename` is None for a plain value."""

    name: str
    filename: str | None
    content_type: str
    data: bytes

    @property
    def text(self) -> str:
        """Return the value as UTF-8 text."""
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MultipartError(f"{self.name}: not UTF-8") from error


def media_type(content_type: str) -> str:
    """Return the bare media type of a Content-Type value, lower case."""
    return content_type.partition(";")[0].strip().lower()


def parse_multipart(content_type: str, body: bytes) -> list[Part]:
    """Split a body into its parts; anything malformed raises `MultipartError`."""
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_param("boundary")
    if media_type(content_type) != "multipart/form-data" or not isinstance(boundary, str) or not boundary:
        raise MultipartError("not multipart/form-data with a boundary")
    delimiter = b"\r\n--" + boundary.encode("ascii", "replace")
    first, *sections = (b"\r\n" + body).split(delimiter)
    if first.strip() or not sections or not sections[-1].startswith(b"--"):
        raise MultipartError("the form does not start and end with its boundary")
    return [_part(section) for section in sections[:-1]]


def _part(section: bytes) -> Part:
    head, separator, data = section.partition(b"\r\n\r\n")
    if not separator:
        raise MultipartError("a part has no header")
    headers = HeaderParser().parsestr(head.decode("utf-8", "replace").lstrip("\r\n"))
    name = headers.get_param("name", header="content-disposition")
    filename = headers.get_param("filename", header="content-disposition")
    if headers.get_content_disposition() != "form-data" or not isinstance(name, str):
        raise MultipartError("a part has no form-data name")
    return Part(name, filename if isinstance(filename, str) else None, headers.get("content-type", "text/plain"), data)
