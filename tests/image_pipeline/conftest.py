"""A disk that can be full, or read-only, at the target of a test."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import skip_or_fail


@pytest.fixture
def small_disk(target: Path) -> Iterator[Callable[[str], None]]:
    """Mount a tmpfs at the target, or change its options; for root only."""
    mounted = False

    def mount(options: str) -> None:
        nonlocal mounted
        target.mkdir(exist_ok=True)
        again = "remount," if mounted else ""
        done = subprocess.run(
            [
                *("mount", "-t", "tmpfs", "-o", again + options),
                *("none", str(target)),
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=10,
        )
        if done.returncode:
            skip_or_fail(f"cannot mount a tmpfs: {done.stderr.strip()}")
        mounted = True

    yield mount
    if mounted:
        subprocess.run(
            ["umount", "--lazy", str(target)], check=True, timeout=10
        )
