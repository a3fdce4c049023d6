"""Start a process that announces itself on stdout, and be sure it ends."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from select import POLLIN, poll
from typing import IO, cast

START_S = 20.0

# The kernel kills the child when its parent is gone, also by SIGKILL.
TIED = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1  # linux/prctl.h
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""


@contextmanager
def running(*argv: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A process and the last word of its first line; killed at the end.

    Raises ChildProcessError without a line in START_S seconds.
    """
    with subprocess.Popen(
        tied(argv),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for its parent
    ) as child:
        try:
            stdout = cast("IO[str]", child.stdout)
            waiting = poll()
            waiting.register(stdout, POLLIN)
            said = waiting.poll(START_S * 1000) and stdout.readline()
            if not said:
                raise ChildProcessError(f"{argv[0]} did not start")
            yield child, said.split()[-1]
        finally:
            child.kill()


def tied(argv: Sequence[str]) -> Sequence[str]:
    """The command that runs `argv` and dies with this process, on Linux."""
    if sys.platform != "linux":
        return argv
    return [sys.executable, "-Sc", TIED, str(os.getpid()), *argv]


def server_command(endpoint: str) -> list[str]:
    return [sys.executable, "-m", "pingpong", "server", "--bind", endpoint]
