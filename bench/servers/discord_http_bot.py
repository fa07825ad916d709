"""discord.http's own interaction server, on uvloop: verifies, builds its models, defers, records nothing."""

from __future__ import annotations

import http.server
import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from discord_http import Client, Context

from bench.interactions import APPLICATION_ID

BOT = {"id": APPLICATION_ID, "username": "bot", "discriminator": "0", "avatar": None, "bot": True}


@contextmanager
def registered(public_key: str) -> Iterator[str]:
    """Serve what the bot asks Discord before it starts: who it is, and which commands are registered (none)."""
    about = {"id": APPLICATION_ID, "name": "bot", "verify_key": public_key, "bot": BOT, "description": "", "flags": 0,
             "interactions_endpoint_url": "https://example.invalid/"}  # fmt: skip

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps([] if self.path.partition("?")[0].endswith("/commands") else about).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


async def defer(ctx: Context, 질문: str) -> object:
    """Answer with type 5; the parameter is named as the command's option."""
    return ctx.response.defer(thinking=True)


def main() -> None:
    """Serve on loopback until told to stop."""
    port, public_key = int(sys.argv[1]), sys.argv[2]
    with registered(public_key) as discord:
        bot = Client(token="no token", api_base_url=discord, sync=False, logging_level=logging.ERROR)

        bot.command(name="채팅", description="Asks.")(defer)
        bot.start(host="127.0.0.1", port=port)


if __name__ == "__main__":
    main()
