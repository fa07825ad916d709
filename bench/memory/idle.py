"""One instance that nobody uses: what it holds, how soon it answers, and how soon it ends."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

from bench.contestants import CONTESTANTS, QUARTET
from bench.interactions import Signer, presigned
from bench.load import is_ack
from bench.measure import data_directory
from bench.processes import START_WITHIN_S, ServerFailed, ServerProcess, cores

LOOK_EVERY_S = 0.002


def sample() -> dict[str, float]:
    """Start one instance on one core, ask it something, wait until it is quiet, and end it in good order.

    Quiet means that the background loading of the OpenAI SDK is done, too.
    """
    signer = Signer.make()
    request = presigned(signer, 1).to(CONTESTANTS[QUARTET].path)[0]
    with ExitStack() as stack:
        directory = stack.enter_context(data_directory())
        started = time.perf_counter()
        process = stack.enter_context(CONTESTANTS[QUARTET].start(signer, directory, cores()[0]))
        _wait_for_ack(process, request)
        first_s, first_cpu_s = time.perf_counter() - started, process.cpu_s()
        process.wait_until_quiet()
        return {
            "first_answer_s": first_s,
            "first_answer_cpu_s": first_cpu_s,
            **process.memory_mib(),
            "descriptors": process.descriptors(),
            "threads": process.threads(),
            "shutdown_s": process.stop(),
        }


def _wait_for_ack(process: ServerProcess, request: bytes) -> None:
    """Wait until a signed command is recorded and answered with the type 5."""
    give_up = time.monotonic() + START_WITHIN_S
    while not _acked(process.port, request):
        process.check()
        if time.monotonic() > give_up:
            raise ServerFailed(f"no interaction was answered in {START_WITHIN_S:.0f} s")
        time.sleep(LOOK_EVERY_S)


def _acked(port: int, request: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=START_WITHIN_S) as connection:
            connection.sendall(request)
            head, found, content = connection.recv(4096).partition(b"\r\n\r\n")
    except OSError:
        return False
    return bool(found) and is_ack(head, content)
