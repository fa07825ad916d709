"""What Quartet is compared with, each a program of its own: `python -m bench.servers.NAME PORT PUBLIC_KEY`."""
