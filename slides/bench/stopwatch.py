"""Running a whole command to its end and taking its time and CPU."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from select import select

LONGEST_S = 600.0


class Stuck(OSError):
    """A program did not end in time."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one run took. Children count once they have been waited for."""

    wall_s: float
    cpu_s: float
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
        ended = os.pidfd_open(process.pid)
        try:
            if not select([ended], [], [], timeout)[0]:
                raise Stuck(f"{argv[0]} did not end in {timeout:.0f} s")
            wall = time.monotonic() - began
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            os.close(ended)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode(errors="replace")
    return Taken(
        wall, usage.ru_utime + usage.ru_stime, process.returncode, said
    )
