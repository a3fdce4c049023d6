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
import stat
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import zmq

PREFIX = "zmq-plugins-"
ROOM_FOR_NAME = 12  # "/" and the number of an incarnation


class RuntimeFolder:
    """Made at once; `close` removes it with all it holds."""

    def __init__(self, base: Path | None = None) -> None:
        self._base = base or _default_base()
        self._making = threading.RLock()
        _check(self._base)
        sweep(self._base)
        self._make()

    def made(self) -> Path:
        """Return its path; make it again if a logout, say, has removed it."""
        with self._making:
            if not self.path.is_dir():
                self.close()
                self._base.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._make()
            return self.path

    def _make(self) -> None:
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self._base))
            room = zmq.IPC_PATH_MAX_LEN - len(os.fsencode(self.path))
            if room < ROOM_FOR_NAME:
                self.path.rmdir()
                most = zmq.IPC_PATH_MAX_LEN - ROOM_FOR_NAME
                why = f"{self.path} is too long a path for sockets, of more "
                raise ValueError(f"{why}than {most} bytes; choose another")
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
    """Remove the folders of sockets in `base` whose owners have died.

    One that holds anything else is no work of ours, and stays.
    """
    for path in base.glob(f"{PREFIX}*"):
        lock = None
        with suppress(FileNotFoundError):  # its owner has just removed it
            if path.lstat().st_uid == os.getuid():
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
    run = Path(os.environ.get("XDG_RUNTIME_DIR") or os.devnull).absolute()
    with suppress(OSError):
        _check(run)
        if run.is_dir() and os.access(run, os.W_OK | os.X_OK):
            return run
    return Path(tempfile.gettempdir()).absolute()


def _check(base: Path) -> None:
    """Refuse a folder where another user could put theirs for ours."""
    found = base.stat()
    others = stat.S_IWGRP | stat.S_IWOTH
    shared = found.st_mode & others and not found.st_mode & stat.S_ISVTX
    if shared or found.st_uid not in (0, os.getuid()):
        why = f"{base} is no place for sockets: other users may replace what "
        why += "is in there; set TMPDIR to a folder of your own"
        raise PermissionError(why)


def _lock(folder: Path) -> int | None:
    """Lock a folder; None where it is owned, a link, or no more."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    with suppress(OSError):  # owned, or removed since
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), folder.stat()):
            return fd
    os.close(fd)
    return None
