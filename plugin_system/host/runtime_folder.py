"""A private folder for sockets, that the next host removes if we cannot.

The folder has mode 0700, since libzmq creates sockets that others may open
(0755 under the usual umask). Its owner holds a lock on it (flock(2)), which
ends with the process however that dies: that is how the next host knows a
dead owner without trusting a process number, and tmpfiles.d(5) promises to
leave a locked folder alone however old it becomes.
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import zmq

PREFIX = "zmq-plugins-"
ROOM_FOR_NAME = 12  # "/" and the number of an incarnation


class RuntimeFolder:
    """Made at once; `close` removes it with all it holds."""

    def __init__(self, base: Path | None = None) -> None:
        base = base or _default_base()
        sweep(base)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
            room = zmq.IPC_PATH_MAX_LEN - len(os.fsencode(self.path))
            if room < ROOM_FOR_NAME:
                self.path.rmdir()
                raise ValueError(
                    f"{self.path} is too long a path for sockets: a name of "
                    f"{ROOM_FOR_NAME} bytes must follow, and ipc allows "
                    f"{zmq.IPC_PATH_MAX_LEN} in all; choose a shorter folder"
                )
            self._lock = _lock(self.path)
            if self._lock is not None:
                return
            # Another host swept it between mkdtemp and the lock: once more.

    def close(self) -> None:
        if self._lock is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = None


def sweep(base: Path) -> None:
    """Remove the folders in `base` whose owners have died.

    Their sockets, to be exact: a folder that holds anything else is no work
    of ours, whatever it is called, and stays.
    """
    for path in base.glob(f"{PREFIX}*"):
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue  # its owner has just removed it
        if path.is_symlink() or found.st_uid != os.getuid():
            continue
        lock = _lock(path)
        if lock is not None:
            with suppress(OSError):  # another host was quicker, or see above
                for each in path.iterdir():
                    if each.is_socket():
                        each.unlink()
                path.rmdir()
            os.close(lock)


def _default_base() -> Path:
    # The temporary folder is the second choice: it may be a long path.
    run = os.environ.get("XDG_RUNTIME_DIR", "")
    usable = run and os.access(run, os.W_OK | os.X_OK)
    return Path(run if usable else tempfile.gettempdir()).absolute()


def _lock(folder: Path) -> int | None:
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), folder.stat()):
            return fd
    except OSError:
        pass  # owned, or removed since
    os.close(fd)
    return None
