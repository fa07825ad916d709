"""Instances on several hosts: how `.env.multi` says which there are, and which of them this host runs."""

from __future__ import annotations

import re

NONE = "none"
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+):([1-9][0-9]{0,4})")


def read_addresses(value: object) -> tuple[str, ...]:
    """Read INSTANCE_ADDRESSES: `host:port` of every instance in the order of their ids, an IPv6 host in brackets.

    `ValueError` says what is wrong with it. It is what proxy/render.sh takes, too.
    """
    if not isinstance(value, str):
        return tuple(value) if isinstance(value, tuple | list) else ()
    addresses = tuple(value.replace(",", " ").split())
    for number, address in enumerate(addresses, start=1):
        found = _ADDRESS.fullmatch(address)
        if found is None or int(found[2]) > 65535:
            raise ValueError(f"is not a list of host:port: look at number {number}")
        if address in addresses[: number - 1]:
            raise ValueError(f"has number {number} twice")
    return addresses


def read_here(value: object) -> tuple[int, ...] | None:
    """Read INSTANCES_HERE: ids with commas between them, `none`, or nothing for all of them (None)."""
    if not isinstance(value, str):
        return tuple(value) if isinstance(value, tuple | list) else None
    words = value.replace(",", " ").split()
    if not words:
        return None
    if [word.lower() for word in words] == [NONE]:
        return ()
    if not all(word.isascii() and word.isdigit() and 1 <= int(word) <= 99 for word in words):
        raise ValueError("is not a list of instances: expected numbers with commas between them, or none")
    return tuple(sorted({int(word) for word in words}))


def host_of(address: str) -> str:
    """The host of `host:port`, as it can be connected to."""
    return address.rpartition(":")[0].strip("[]")


def port_of(address: str) -> int:
    """The port of `host:port`."""
    return int(address.rpartition(":")[2])
