"""The target folder: whole thumbnails under their names, or nothing.

Each thumbnail is written to a temporary file and then renamed, so that a
killed run leaves none half done. Names may come from other machines, so
nothing is written outside the target, whatever links it contains. The target
may hold files of the user's: a thumbnail replaces only what the journal shows
to be ours, unless `overwrite` says otherwise.

Temporary files and the journal are in `.image_pipeline` in the target. The
run that works there holds a lock, which the kernel frees when it dies; who
gets the lock may therefore remove what the dead have left.
"""

import errno
import fcntl
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from image_pipeline.outcome import CannotKeep, TargetError
from image_pipeline.storage.directory import Folders, open_patiently
from image_pipeline.storage.journal import Journal, Source
from image_pipeline.storage.names import Folding, check_name, shown

PRIVATE = ".image_pipeline"
MAX_THUMBNAIL = 64 * 2**20  # bytes; a bigger file is none of ours
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL

# After these, no other file could be written either.
_HOPELESS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EIO,
    errno.ENODEV,
    errno.ESTALE,
    errno.EMFILE,
    errno.ENFILE,
)


@dataclass(eq=False)
class Content:
    """What stands in a target folder, and whose it is."""

    _folders: Folders
    _journal: Journal

    def is_current(self, source: Source, outputs: Sequence[bytes]) -> bool:
        """Return whether `outputs` are as an earlier run has left them."""
        sizes = self._journal.sizes(source)
        with suppress(OSError):
            return sizes is not None and sizes == tuple(
                self._folders.status(output).st_size for output in outputs
            )
        return False

    def is_ours(self, name: bytes) -> bool:
        """Return whether a file with these very bytes was written by us."""
        data = self._folders.read(name, MAX_THUMBNAIL)
        return data is not None and self._journal.has_made(name, data)

    def obstacle(self, name: bytes, overwrite: bool) -> str:
        """Return why no file may be written under `name`, or nothing."""
        try:
            is_free = self.is_ours(name)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                return f"it cannot be written: {error.strerror}"
            # Any other error is reported by `Store.write`, when it fails.
            is_free = error.errno not in (errno.EACCES, errno.EPERM)
        if is_free or overwrite:
            return ""
        return (
            f"{shown(name)} in the target was not made from it by this "
            "program; --overwrite replaces it"
        )


class Store(Content):
    """The thumbnails in a target folder, which is made if need be.

    Use `with`. Raises TargetError when the folder cannot be written to, or
    when another run is writing to it.
    """

    def __init__(self, target: Path, overwrite: bool = False) -> None:
        self.target = target
        self._overwrite = overwrite
        self._count = 0
        with self._writing(), ExitStack() as opened:
            target.mkdir(parents=True, exist_ok=True)
            folders = opened.enter_context(Folders(target))
            with suppress(FileExistsError):
                os.mkdir(PRIVATE, 0o700, dir_fd=folders.root)
            # A duplicate, as `Folders` closes what is long unused.
            self._private = os.dup(folders.open(PRIVATE.encode()))
            opened.callback(os.close, self._private)
            self._lock(opened)
            if not os.access(target, os.W_OK):
                raise PermissionError(errno.EACCES, "no permission")
            self._remove_stale()
            journal = Journal(target / PRIVATE / "journal")
            super().__init__(folders, opened.enter_context(journal))
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._opened.close()

    def _lock(self, opened: ExitStack) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        lock = os.open("lock", flags, 0o666, dir_fd=self._private)
        opened.callback(os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TargetError(
                f"another run is writing to {self.target}: wait until it "
                "has ended, or choose another target"
            ) from None

    def _remove_stale(self) -> None:
        for name in os.listdir(self._private):  # noqa: PTH208 - no path
            if name.endswith(".tmp"):
                os.unlink(name, dir_fd=self._private)

    def folding(self) -> Folding:
        """Find out, by trying, which names this file system confuses."""
        name = "try-\u00e9.tmp"
        composed = name.encode()
        decomposed = unicodedata.normalize("NFD", name).encode()
        exists = partial(os.access, mode=os.F_OK, dir_fd=self._private)
        with self._writing():
            os.close(os.open(composed, _NEW_FILE, dir_fd=self._private))
            try:
                return Folding(
                    case=exists(composed.upper()), unicode=exists(decomposed)
                )
            finally:
                os.unlink(composed, dir_fd=self._private)

    def keep(self, source: Source, thumbnails: Mapping[bytes, bytes]) -> None:
        """Write the thumbnails of `source` (by name), and remember them.

        Raises CannotKeep when the trouble is with these names, TargetError
        when no other file could be written either.
        """
        for name in thumbnails:
            if why := self.obstacle(name, self._overwrite):
                raise CannotKeep(why)
        with self._writing():
            self._journal.forget(source, thumbnails)
            for name, data in thumbnails.items():
                self.write(name, data, 0o600 | source.mode & 0o666)
            self._journal.remember(source, thumbnails)

    def discard(self, source: Source, outputs: Sequence[bytes]) -> None:
        """Remove thumbnails that show what `source` was and is no more."""
        if self._journal.is_outdated(source):
            with self._writing():
                self._journal.forget(source, {})
            for name in outputs:
                self.remove(name)

    def remove(self, name: bytes) -> bool:
        """Remove a thumbnail, if it is ours; tell whether it was."""
        with suppress(OSError):
            if self.is_ours(name):
                self._folders.remove(name)
                return True
        return False

    def write(self, name: bytes, data: bytes, mode: int = 0o666) -> None:
        """Put `data` under `name`, whole or not at all. Raises like keep."""
        check_name(name)
        try:
            try:
                self._write(name, data, mode)
            except FileNotFoundError:
                # Somebody has removed a folder; once may be an accident.
                self._folders.forget()
                self._write(name, data, mode)
        except FileNotFoundError as error:
            raise TargetError(f"{self.target} has been removed") from error
        except OSError as error:
            if error.errno in _HOPELESS:
                raise self._hopeless(error) from error
            reason = f"it cannot be written: {error.strerror}"
            raise CannotKeep(reason) from error

    def _write(self, name: bytes, data: bytes, mode: int) -> None:
        folder, _, last = name.rpartition(b"/")
        parent = self._folders.open(folder, make=True)
        self._count += 1
        part = f"{self._count}.tmp"
        file = open_patiently(part, _NEW_FILE, mode, dir_fd=self._private)
        try:
            with os.fdopen(file, "wb") as stream:
                stream.write(data)
            os.rename(part, last, src_dir_fd=self._private, dst_dir_fd=parent)
        except BaseException:
            with suppress(OSError):
                os.unlink(part, dir_fd=self._private)
            raise

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Raise TargetError where the system refuses."""
        try:
            yield
        except OSError as error:
            raise self._hopeless(error) from error

    def _hopeless(self, error: OSError) -> TargetError:
        return TargetError(f"cannot write to {self.target}: {error.strerror}")


@contextmanager
def looking_at(target: Path) -> Iterator[Content | None]:
    """Yield the content of a target, which is neither made nor locked."""
    if not os.path.isdir(target):  # noqa: PTH112 - which never raises
        yield None
        return
    journal = target / PRIVATE / "journal"
    if not journal.exists():
        journal = Path(os.devnull)
    with Folders(target) as folders, Journal(journal, writable=False) as read:
        yield Content(folders, read)
