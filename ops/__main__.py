"""Entry point behind `deploy-multi.sh`: `python -m ops COMMAND`."""

from __future__ import annotations

import sys


def main() -> None:
    """Dispatch; what the supervisor starts goes past the command line's slow imports."""
    if len(sys.argv) > 1 and sys.argv[1] in ("instance", "supervised"):
        from ops.launch import launch

        launch(sys.argv[1:])
    from ops.cli import run

    run()


if __name__ == "__main__":
    main()
