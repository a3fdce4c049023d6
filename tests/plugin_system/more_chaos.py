"""The chaos plugin, with more ways that only the tests need."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from plugin_system import values
from plugin_system.samples import chaos
from plugin_system.samples.chaos import (
    LIES,
    Lie,
    connected,
    crash,
    hang,
    send_raw,
)

plugin = chaos.plugin


@plugin.method
def note(path: str) -> int:
    """Add a byte to a file, and return how many it has: a side effect."""
    with Path(path).open("ab") as file:
        file.write(b".")
        return file.tell()


@plugin.method
def hang_noting(how: str, path: str) -> NoReturn:
    """Never return; tell in a file when that has begun."""
    note(path)
    hang(how)


@plugin.method
def hang_with_a_child(path: str) -> None:
    """Wait for a child that inherits stdout and stderr; note its pid."""
    child = subprocess.Popen(["sleep", "1000"])
    Path(path).write_text(str(child.pid))
    child.wait()


@plugin.idempotent
def once(path: str, how: str) -> int:
    """Die at the first call, as `crash` does; return how often it came."""
    times = note(path)
    if times == 1:
        crash(how)
    return times


@plugin.method
def die_noting(path: str, how: str) -> int:
    """Do as `once` does, without its promise."""
    return once(path, how)


@plugin.method
def environment() -> dict[str, str]:
    """Return the environment that the host handed over."""
    return dict(os.environ)


@plugin.method
def allocate(size: int) -> int:
    """Take `size` bytes of memory for a moment."""
    return len(bytearray(size))


@plugin.method
def print_much(size: int) -> None:
    """Print `size` bytes in one line, then as many in lines."""
    print("x" * size)
    print("line of output\n" * (size // 15))


@plugin.method
def repeat(times: int) -> list[int]:
    """Return a list of so many zeros."""
    return [0] * times


@plugin.method
def deep() -> list[Any]:
    """Return what no message can hold."""
    nested: list[Any] = []
    for _ in range(values.MAX_DEPTH):
        nested = [nested]
    return nested


def _twice(reply: bytes) -> bytes:
    send_raw(reply)
    return reply


def _endless(size: int) -> Lie:
    """Return a lie of frames that each say that more will come."""

    def lie(_: bytes) -> bytes:
        connection = connected()
        frame = b"\x03" + size.to_bytes(8, "big") + bytes(size)
        connection.sendall(b"\x01\x00")
        while True:
            connection.sendall(frame * (1 + 2**20 // len(frame)))

    return lie


def _nothings() -> bytes:
    # As a result, a list of sixteen million times None, in 64 MiB.
    nothings = b"\x0a\x02\x08\x01" * (2**24 - 8)
    for tag in (b"\x42", b"\x1a"):
        size = len(nothings)
        while size:
            tag += bytes([size & 127 | 128 * (size > 127)])
            size >>= 7
        nothings = tag + nothings
    return nothings


LIES["endless"] = _endless(2**20)
LIES["endless and empty"] = _endless(0)
LIES["twice"] = _twice
LIES["too many"] = lambda reply: reply[:18] + _nothings()

match os.environ.get("CHAOS_START"):
    case "slow":
        time.sleep(float(os.environ["CHAOS_SECONDS"]))
    case "exits":
        sys.exit(0)
    case "closes the pipe":
        os.close(int(os.environ["PLUGIN_READY_FD"]))
        time.sleep(1000)
