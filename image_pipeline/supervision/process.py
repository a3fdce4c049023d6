"""What a process asks of its C library and its kernel."""

import ctypes
import resource
import signal
import struct
from contextlib import suppress

from image_pipeline.outcome import Incomplete

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # from malloc.h
_BLOCK_BYTES = 32 * 2**20  # the most that glibc accepts
_FREE_BYTES = 128 * 2**20
_PR_SET_PDEATHSIG = 1  # from linux/prctl.h
NOTE = struct.Struct("Qdd")  # the fields of `watched.Noted`
GIVES_UP = 3  # exit code of a worker whose successor would fail, too
FILES, FILES_OF_A_WORKER = 128, 7  # that a run has open, at most


def keep_memory() -> None:
    """Let this process keep up to 128 MiB that it does not use just now.

    glibc returns a big block to the kernel as soon as it is freed. The next
    image then gets fresh pages, each of which the kernel has to fault in
    and fill with zeros, thousands for one photograph: that costs more than
    carrying the photograph over a socket (mallopt(3), M_MMAP_THRESHOLD and
    M_TRIM_THRESHOLD). Where the C library is not glibc, nothing happens.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _BLOCK_BYTES)
        mallopt(_TRIM_THRESHOLD, _FREE_BYTES)


def die_with_parent() -> None:
    """Be killed when the process that started this one has died.

    A decoder that loops in C would not notice by itself (prctl(2)).
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def allow_files(workers: int = 0) -> None:
    """Raise the limit of open files as far as allowed; raises Incomplete.

    A connection costs one, also that of a stranger, and libzmq ends the
    whole process where it gets none for itself.
    """
    needed = FILES + FILES_OF_A_WORKER * workers
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < needed:  # RLIM_INFINITY is -1
        raise Incomplete(
            f"{workers} workers need {needed} open files, and the limit "
            f"(ulimit -n) is {hard}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
