"""hikari's own interaction server, on uvloop: verifies, builds its models, defers, records nothing."""

from __future__ import annotations

import sys

import hikari
import uvloop
from hikari.api.special_endpoints import InteractionDeferredBuilder


async def defer(interaction: hikari.CommandInteraction) -> InteractionDeferredBuilder:
    """Answer every command with type 5."""
    return interaction.build_deferred_response()


def main() -> None:
    """Serve on loopback until told to stop."""
    port, public_key = int(sys.argv[1]), bytes.fromhex(sys.argv[2])
    uvloop.install()
    bot = hikari.RESTBot("no token", "Bot", public_key=public_key, banner=None, logs="ERROR")
    bot.set_listener(hikari.CommandInteraction, defer)
    bot.run(host="127.0.0.1", port=port, check_for_updates=False)


if __name__ == "__main__":
    main()
