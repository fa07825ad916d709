"""Self-signed certificates for tests, written by hand in DER (RFC 5280, RFC 8410), so that no tool is needed."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from pathlib import Path

from nacl.signing import SigningKey

_ED25519 = bytes.fromhex("300506032b6570")  # AlgorithmIdentifier of RFC 8410
_COMMON_NAME = bytes.fromhex("0603550403")
_SUBJECT_ALT_NAME = bytes.fromhex("0603551d11")


@dataclass(frozen=True)
class CertificateFiles:
    """A certificate and its key as PEM files."""

    certificate: Path
    key: Path


def write_certificate(directory: Path, *names: str, days: float = 30, began_days_ago: float = 1) -> CertificateFiles:
    """Write `certificate.pem` and `key.pem` for these host names, valid for `days` from now (negative: expired)."""
    signing = SigningKey.generate()
    now = time.time()
    subject = _tlv(0x30, _tlv(0x31, _tlv(0x30, _COMMON_NAME + _tlv(0x0C, names[0].encode()))))
    validity = _tlv(0x30, _time(now - began_days_ago * 86_400) + _time(now + days * 86_400))
    public = _tlv(0x30, _ED25519 + _tlv(0x03, b"\0" + bytes(signing.verify_key)))
    alternatives = _tlv(0x30, b"".join(_tlv(0x82, name.encode()) for name in names))
    extensions = _tlv(0xA3, _tlv(0x30, _tlv(0x30, _SUBJECT_ALT_NAME + _tlv(0x04, alternatives))))
    serial = _tlv(0x02, b"\x01" + bytes(signing.verify_key)[:8])
    version = _tlv(0xA0, _tlv(0x02, b"\x02"))
    body = _tlv(0x30, version + serial + _ED25519 + subject + validity + subject + public + extensions)
    whole = _tlv(0x30, body + _ED25519 + _tlv(0x03, b"\0" + signing.sign(body).signature))
    key = _tlv(0x30, _tlv(0x02, b"\0") + _ED25519 + _tlv(0x04, _tlv(0x04, bytes(signing))))
    files = CertificateFiles(directory / "certificate.pem", directory / "key.pem")
    files.certificate.write_text(_pem("CERTIFICATE", whole))
    files.key.write_text(_pem("PRIVATE KEY", key))
    return files


def _tlv(tag: int, content: bytes) -> bytes:
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _time(at: float) -> bytes:
    return _tlv(0x18, time.strftime("%Y%m%d%H%M%SZ", time.gmtime(at)).encode())


def _pem(what: str, der: bytes) -> str:
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN {what}-----\n{text}-----END {what}-----\n"
