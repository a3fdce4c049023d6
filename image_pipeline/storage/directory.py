"""Opening folders below one folder without ever leaving it.

A path that is resolved by name can be led out through a link. Opened folder
by folder, each from its parent and never through a link, it cannot.
"""

import errno
import os
import stat
import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Self

_OPEN = os.O_RDONLY | os.O_DIRECTORY
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
# Strangers at an open port may hold all descriptors until the deadline of
# their handshakes (monitor.HANDSHAKE_MS): that is no fault of a file.
PATIENCE_S = 15.0
_KEPT = 64  # open at a time: most files go where the one before went


def open_patiently(
    name: bytes | str, flags: int, mode: int = 0o666, *, dir_fd: int
) -> int:
    """Do as os.open does, and wait a while for a free descriptor."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return os.open(name, flags, mode, dir_fd=dir_fd)
        except OSError as error:
            none_left = error.errno in (errno.EMFILE, errno.ENFILE)
            if not none_left or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


class Folders:
    """The folders below `root`, which stay open while they are in use.

    All methods raise OSError: ENOTDIR or ELOOP where a link or a file is in
    the way.
    """

    def __init__(self, root: Path) -> None:
        self.root = os.open(root, _OPEN)
        self._open: OrderedDict[bytes, int] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.forget()
        os.close(self.root)

    def forget(self) -> None:
        """Close all: one of them may have been removed behind our back."""
        while self._open:
            os.close(self._open.popitem()[1])

    def open(self, path: bytes, make: bool = False) -> int:
        """Return a descriptor of the folder `path`; b"" is the root.

        It stays ours, and valid until the next call. With `make`, folders
        that do not exist are made.
        """
        folder = self.root
        names = path.split(b"/") if path else []
        for depth, name in enumerate(names, 1):
            above = b"/".join(names[:depth])
            if above not in self._open:
                self._open[above] = self._enter(folder, name, make)
            self._open.move_to_end(above)
            folder = self._open[above]
            if len(self._open) > _KEPT:
                os.close(self._open.popitem(last=False)[1])
        return folder

    def _enter(self, parent: int, name: bytes, make: bool) -> int:
        if make:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=parent)
        flags = _OPEN | os.O_NOFOLLOW
        return open_patiently(name, flags, dir_fd=parent)

    def status(self, path: bytes) -> os.stat_result:
        """Return the status of what stands at `path`, be it a link."""
        folder, _, name = path.rpartition(b"/")
        return os.stat(name, dir_fd=self.open(folder), follow_symlinks=False)

    def read(self, path: bytes, most: int) -> bytes | None:
        """Return a regular file's bytes; None for anything else, or more."""
        status = self.status(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > most:
            return None
        folder, _, name = path.rpartition(b"/")
        file = open_patiently(name, _READ, dir_fd=self.open(folder))
        with os.fdopen(file, "rb") as stream:
            return stream.read(most + 1)

    def remove(self, path: bytes) -> None:
        """Remove the file `path`, and each folder that is empty then."""
        folder, _, name = path.rpartition(b"/")
        os.unlink(name, dir_fd=self.open(folder))
        with suppress(OSError):  # one that is not empty
            while folder:
                folder, _, name = folder.rpartition(b"/")
                os.rmdir(name, dir_fd=self.open(folder))
        self.forget()
