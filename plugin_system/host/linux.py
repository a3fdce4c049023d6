"""What the host needs from the kernel, and a clear error where it is missing.

A pidfd (Linux 5.3) becomes readable when its process ends, so a death can be
waited for in one poll with a reply; prctl ends plugins with their host.
Without both, a hung or orphaned plugin could not be told from a slow one.
"""

import os
import select
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
PROCESS_GROUP = 4  # PIDFD_SIGNAL_PROCESS_GROUP of linux/pidfd.h, Linux 6.9


class Unsupported(OSError):
    """This machine cannot hold plugins safely."""


class Flag:
    """Waited for in a poll, and set at any time, in a signal handler too.

    An Event is not: its `set` waits for one that the handler interrupts.
    The end of a pipe is not: a forked child may still have it open.
    """

    def __init__(self) -> None:
        self._set = False
        self.fd = os.eventfd(0)

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        if not self._set:
            self._set = True
            with suppress(OSError, ValueError):  # it is closed
                os.eventfd_write(self.fd, 1)

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        os.close(fd)


def require() -> None:
    """Raise `Unsupported` where plugins could not be watched."""
    if sys.platform != "linux":
        why = f"plugins need Linux 5.3 or newer, and this is {sys.platform}; "
        raise Unsupported(why + "a container or a virtual machine will do")
    if "PLUGIN_ENDPOINT" in os.environ:
        # Each would start the next one, without end.
        why = "this process is about to become a plugin; make an executor in "
        why += "a method of it, and not while its module is imported"
        raise Unsupported(why)
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


def kill_group(pidfd: int, pid: int) -> None:
    """Send SIGKILL to a process that leads a group, and to its group.

    Never hits a stranger, also where the host's own code reaps children: a
    pidfd belongs to one process for ever, and before Linux 6.9 the group is
    named by its number only while that waits to be reaped.
    """
    with suppress(ProcessLookupError, ChildProcessError):
        try:
            signal.pidfd_send_signal(
                pidfd, signal.SIGKILL, None, PROCESS_GROUP
            )
        except OSError:  # EINVAL: an older kernel; or the group has ended
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            os.killpg(pid, signal.SIGKILL)


def reap(pidfd: int) -> int | None:
    """Return how a child ended: its exit code, or a signal below zero.

    None where the host's own code has reaped it, or it has not ended.
    """
    with suppress(ChildProcessError):
        if ended := os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG):
            by_itself = ended.si_code == os.CLD_EXITED
            return ended.si_status if by_itself else -ended.si_status
    return None


@dataclass
class Flood:
    """Does the peer at `path` send a message that never ends?

    libzmq gathers the frames of a message until the last one, and limits
    neither their number nor their sum. So look from time to time: a flood is
    what still arrives when this process has grown by `most` bytes.
    """

    path: Path
    most: int
    looks: int = 5  # a message that is allowed has ended before the last
    _least: int = sys.maxsize
    _seen: int = 0

    def rises(self) -> bool:
        now = _resident_bytes()
        self._least = min(self._least, now)
        if now - self._least > self.most:
            self._seen += _arrives(str(self.path))
        return self._seen >= self.looks


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as numbers:  # noqa: PTH123 - quicker
        return int(numbers.read().split()[1]) * PAGE_BYTES


def _arrives(path: str) -> bool:
    """Return whether a connection to `path` has bytes that nobody read."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - quicker
        with (
            suppress(OSError),
            socket.fromfd(int(name), socket.AF_UNIX, 0) as copy,
        ):
            if copy.getpeername() == path:
                unread = select.poll()
                unread.register(copy, select.POLLIN)
                return bool(unread.poll(20))
    return False
