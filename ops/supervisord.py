"""supervisord, in the foreground, with one change: it looks after its programs ten times a second, not once.

supervisord restarts a program on the tick after the one that noticed its death, and its tick is one second; an instance
that was killed would be missed for that long. Run as `python -m ops.supervisord CONFIG`.
"""

from __future__ import annotations

import sys
from typing import Any

from supervisor.options import ServerOptions
from supervisor.supervisord import Supervisor, asyncore

TICK_S = 0.1


def main() -> None:
    """Run until told to shut down."""
    options = ServerOptions()
    options.realize(["-n", "-c", sys.argv[1]], doc="")
    poll = options.poller.poll

    def poll_briefly(timeout: float) -> Any:
        return poll(min(timeout, TICK_S))

    options.poller.poll = poll_briefly
    options.first = True
    options.test = False
    try:
        Supervisor(options).main()
    except asyncore.ExitNow:
        pass
    finally:
        options.close_httpservers()
        options.close_logger()


if __name__ == "__main__":
    main()
