"""`python -m simulator`: the simulator as a process of its own."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from simulator.app import create_app
from simulator.config import SimulatorConfig
from simulator.server import ProcessServer, server_config


def arguments() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback only)")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ledger", type=Path, help="JSONL file to append to")
    parser.add_argument("--config", type=Path, help="JSON file, see simulator/config.py")
    parser.add_argument("--control-token", default="", help="secret that the control API then asks for")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--target", default="", help="interactions endpoint for the page and as a default")
    parser.add_argument("--public-url", default="", help="how others reach this process, if not by host and port")
    return parser


def main() -> None:
    """Run until the process is told to stop."""
    args = arguments().parse_args()
    given = {
        "seed": args.seed,
        "control_token": args.control_token,
        "default_target": args.target,
        "public_url": args.public_url,
    }
    overrides = {name: value for name, value in given.items() if value not in (None, "")}
    config = SimulatorConfig.from_file(args.config, **overrides) if args.config else SimulatorConfig(**overrides)
    if args.host not in ("127.0.0.1", "::1", "localhost") and not config.control_token:
        sys.exit("refusing to listen beyond loopback without --control-token")
    app = create_app(config, args.ledger)
    app.discord.cdn_url = config.public_url or f"http://{args.host}:{args.port}"
    facts = {"url": app.discord.cdn_url, "public_key": app.discord.public_key, "seed": app.world.seed}
    print(json.dumps(facts), flush=True)
    ProcessServer(server_config(app, host=args.host, port=args.port), app).run()


if __name__ == "__main__":
    main()
