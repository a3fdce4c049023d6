"""What the host needs from the kernel, and a clear word where it is missing.

This is the one module that knows the operating system. A pidfd (Linux 5.3)
becomes readable when its process ends, so a death can be waited for in one
poll with a reply; prctl ends plugins with their host. Without both a hung
or orphaned plugin could not be told from a slow one, so the host refuses to
start elsewhere. A fallback would watch a thread that waits for the process.
"""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

PF_EXITING = 0x4


class Unsupported(OSError):
    """This machine cannot hold plugins safely."""


def require() -> None:
    """Raise `Unsupported` where plugins could not be watched."""
    if sys.platform != "linux":
        raise Unsupported(
            f"plugins need Linux 5.3 or newer, and this is {sys.platform}; "
            "a container or a virtual machine with Linux will do"
        )
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        raise Unsupported(
            "this process ignores SIGCHLD, so the kernel forgets how a "
            "plugin ended; call signal.signal(signal.SIGCHLD, signal.SIG_DFL)"
        )
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        raise Unsupported(
            f"plugins need pidfd_open(2), which says: {error.strerror}; "
            "it came with Linux 5.3, and old container profiles forbid it"
        ) from None


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Send SIGKILL to a process that leads a group, and to its group.

    Never hits a stranger: until somebody reaps the leader, the kernel gives
    its number to no one else.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def is_exiting(pid: int) -> bool:
    """Return whether an unreaped process has begun to end.

    A process sets PF_EXITING (linux/sched.h; "flags" in proc(5)) before it
    loses its files. So it tells a connection that was lost in dying from
    one that a living process has broken.
    """
    stat = Path(f"/proc/{pid}/stat").read_bytes()
    after_name = stat.rpartition(b")")[2].split()
    return bool(int(after_name[6]) & PF_EXITING)


def limit(pid: int, limits: Mapping[str, int]) -> None:
    """Set resource limits, named as in getrlimit(2), of another process."""
    for name, value in limits.items():
        try:
            resource.prlimit(pid, getattr(resource, name), (value, value))
        except PermissionError as error:
            raise PermissionError(
                error.errno,
                f"{name} of {value} is more than the host may give",
            ) from None
