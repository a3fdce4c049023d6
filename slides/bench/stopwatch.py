"""Running a program to its end and taking its time, CPU and memory."""

import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LONGEST_S = 600.0
_LOOK_EVERY_MS = 20


class Stuck(OSError):
    """A program did not end in time."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one run took. Children count once they have been waited for."""

    wall_s: float
    cpu_s: float
    parent_peak: int  # bytes, of the process itself
    code: int
    output: str


def taken_by(argv: Sequence[str], timeout: float = LONGEST_S) -> Taken:
    """Run `argv` and measure it; raise Stuck after `timeout` seconds."""
    began = time.monotonic()
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            peak = _wait(process.pid, began + timeout)
            wall = time.monotonic() - began
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        return Taken(
            wall,
            usage.ru_utime + usage.ru_stime,
            peak,
            process.returncode,
            output.read().decode(errors="replace"),
        )


def _wait(pid: int, deadline: float) -> int:
    """Wait for the end of `pid`; return the peak of its memory."""
    peak = 0
    ended = os.pidfd_open(pid)
    try:
        poller = select.poll()
        poller.register(ended, select.POLLIN)
        while not poller.poll(_LOOK_EVERY_MS):
            peak = max(peak, _peak(pid))
            if time.monotonic() > deadline:
                raise Stuck(f"process {pid} did not end in time")
    finally:
        os.close(ended)
    return peak


def _peak(pid: int) -> int:
    """Return the peak of resident memory so far, in bytes (proc(5))."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
