"""The limit: an ASGI application that verifies, parses and defers, and does nothing else."""

from __future__ import annotations

import sys

import uvicorn
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError
from pydantic_core import from_json
from starlette.types import ASGIApp, Receive, Scope, Send

PING = 1
JSON = (b"content-type", b"application/json")


def application(public_key: bytes) -> ASGIApp:
    """Return an application that answers signed interactions: a PING with 1, all else with 5; a bad signature 401."""

    async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
        headers = dict(scope["headers"])
        signature = bytes.fromhex(headers[b"x-signature-ed25519"].decode("ascii"))
        try:
            crypto_sign_open(signature + headers[b"x-signature-timestamp"] + body, public_key)
        except BadSignatureError:
            status, answer = 401, b"{}"
        else:
            status, answer = 200, b'{"type":1}' if from_json(body)["type"] == PING else b'{"type":5}'
        length = (b"content-length", b"%d" % len(answer))
        await send({"type": "http.response.start", "status": status, "headers": [JSON, length]})
        await send({"type": "http.response.body", "body": answer})

    return asgi


def main() -> None:
    """Serve on loopback until told to stop."""
    port, public_key = int(sys.argv[1]), bytes.fromhex(sys.argv[2])
    uvicorn.run(
        application(public_key),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
