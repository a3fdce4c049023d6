"""The chaos plugin, with more methods that only the tests need."""

import os
from typing import Any

from plugin_system import values
from plugin_system.samples.chaos import crash, note, plugin


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
def deep() -> list[Any]:
    """Return what no message can hold."""
    nested: list[Any] = []
    for _ in range(values.MAX_DEPTH):
        nested = [nested]
    return nested
