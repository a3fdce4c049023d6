"""Memory that is used again for the next image, instead of given back.

glibc returns a big block to the kernel as soon as it is freed. The next
image then gets fresh pages, each of which the kernel has to fault in and to
fill with zeros, thousands for one photograph: that costs more than carrying
the photograph over a socket (mallopt(3), M_MMAP_THRESHOLD and
M_TRIM_THRESHOLD; `bench` shows the sum of it as CPU for an image).
"""

import ctypes
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # from malloc.h
_BLOCK_BYTES = 32 * 2**20  # the most that glibc accepts
_FREE_BYTES = 128 * 2**20


def keep_memory() -> None:
    """Let this process keep up to 128 MiB that it does not use just now.

    Where the C library is not glibc, nothing happens.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _BLOCK_BYTES)
        mallopt(_TRIM_THRESHOLD, _FREE_BYTES)
