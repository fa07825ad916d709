"""nginx before two large hosts, one of which is cut off: a black hole for each of its addresses."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from pathlib import Path

from tests.acceptance.proxy_kit import (
    StandIn,
    black_hole,
    connected,
    environment,
    interaction,
    needs_nginx,
    nginx,
    render,
)

pytestmark = needs_nginx

PER_HOST = 8
OURS, THEIRS = "127.0.0.1", "127.0.0.2"


def servers(text: str, upstream: str) -> list[str]:
    """The addresses of an upstream in the order in which nginx has them."""
    return re.findall(r"server (\S+) ", text.split(f"upstream {upstream} {{")[1].split("}")[0])


def test_neighbours_are_of_different_hosts(tmp_path: Path) -> None:
    """Each home comes first in its upstream, and no two addresses of one host follow each other while another's are
    left; on one host, or with a host for each, the order is that of the ids.
    """
    addresses = ["a:1", "a:2", "b:1", "b:2"]
    env = environment(addresses, tmp_path, 18080, 18081)
    assert render(env, tmp_path / "conf").returncode == 0
    text = (tmp_path / "conf/nginx.conf").read_text()
    assert servers(text, "home_1") == ["a:1", "b:1", "a:2", "b:2"]
    assert servers(text, "home_2") == ["a:2", "b:1", "a:1", "b:2"]
    assert servers(text, "home_4") == ["b:2", "a:1", "b:1", "a:2"]
    assert servers(text, "any") == ["a:1", "b:1", "a:2", "b:2"]
    for plain in (["a:1", "b:1", "c:1"], ["a:1", "a:2", "a:3"]):
        assert render(environment(plain, tmp_path, 18080, 18081), tmp_path / "conf").returncode == 0
        assert servers((tmp_path / "conf/nginx.conf").read_text(), "home_2") == [plain[1], plain[2], plain[0]]


async def test_half_of_sixteen_instances_cut_off_at_once(tmp_path: Path) -> None:
    """Symptom: with instances 9 to 16 on a host that is cut off, the first user of home 9 got a 502 after 2.4 s. Cause:
    the stand-bys in the order of the ids were seven more black holes, 0.3 s each. Rule: one of another host comes next,
    so a user of a dead home is answered within a second, and so is a request without a user.
    """
    instances = [StandIn(number) for number in range(1, PER_HOST + 1)]
    for instance in instances:
        await instance.start()
    with contextlib.ExitStack() as stack:
        holes = [stack.enter_context(black_hole(THEIRS)) for _ in range(PER_HOST)]
        addresses = [f"{OURS}:{one.port}" for one in instances] + [f"{THEIRS}:{hole}" for hole in holes]
        async with nginx(addresses, tmp_path) as (public, _):
            for user in [*range(PER_HOST, 2 * PER_HOST), *range(2 * PER_HOST)]:
                async with connected(public) as client:
                    before = time.monotonic()
                    assert (await client.post(interaction(user))).status == 200, f"home {user + 1}"
                    assert time.monotonic() - before < 1.2, f"home {user + 1}"
            async with connected(public) as client:
                assert (await client.post(b'{"type":1}')).status == 200
    await asyncio.gather(*(instance.stop() for instance in instances))
