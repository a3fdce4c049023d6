"""What earlier runs have made, so that the same command resumes.

A line before the thumbnails of a file are written and one after: a digest of
the file's name; a digest of what they were made from, or `-` before; and for
each thumbnail its size and its mark, a digest of its path and its bytes. The
last line for a name says what is finished. The marks of all lines together
prove which files in the target are ours, and may be replaced or removed.

A line that a killed run left half written is no line; a second run cannot
disturb it, as the target is locked.
"""

import errno
import hashlib
import io
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was when it was read: what a thumbnail is made from."""

    name: bytes
    size: int  # bytes
    mtime_ns: int
    fingerprint: str  # of the recipe
    mode: int = 0  # its thumbnails get these permissions, and no more

    @property
    def state(self) -> bytes:
        words = f"{self.size} {self.mtime_ns} {self.fingerprint}"
        return _digest(words.encode())


class Journal:
    """The finished files of a target folder, kept in one file.

    Use `with`. Raises OSError as files do.
    """

    def __init__(self, path: Path, writable: bool = True) -> None:
        self._finished: dict[bytes, tuple[bytes, tuple[int, ...]]] = {}
        self._marks: set[bytes] = set()
        # Never through a link, which anybody may have put there.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        if writable:
            flags |= os.O_RDWR | os.O_CREAT | os.O_APPEND
        descriptor = os.open(path, flags, 0o666)
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        if not regular and path != Path(os.devnull):
            os.close(descriptor)  # a pipe would be read for ever
            raise OSError(errno.EINVAL, f"{path} is no regular file")
        self._file = os.fdopen(descriptor, "r+b" if writable else "rb", 0)
        reader, line = io.BufferedReader(self._file), b"\n"
        for line in reader:
            if line.endswith(b"\n"):
                self._read(line[:-1])
        reader.detach()
        if not line.endswith(b"\n") and writable:
            self._write(b"\n")  # the last one is cut off, the next is not

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def sizes(self, source: Source) -> tuple[int, ...] | None:
        """Return the sizes of its thumbnails, if they are finished."""
        state, sizes = self._finished.get(_digest(source.name), (b"", ()))
        return sizes if state == source.state else None

    def has_made(self, path: bytes, data: bytes) -> bool:
        """Return whether a file `path` of these bytes was written by us."""
        return _mark(path, data) in self._marks

    def is_outdated(self, source: Source) -> bool:
        """Return whether its thumbnails show an earlier version of it."""
        made = self._finished.get(_digest(source.name))
        return made is not None and made[0] != source.state

    def forget(self, source: Source, files: Mapping[bytes, bytes]) -> None:
        """Note that `files` are about to be written for it.

        A run killed between this and `remember` leaves thumbnails that are
        known as ours, and not taken for finished.
        """
        self._append(source, "-", files)

    def remember(self, source: Source, files: Mapping[bytes, bytes]) -> None:
        self._append(source, source.state.hex(), files)

    def _append(
        self, source: Source, state: str, files: Mapping[bytes, bytes]
    ) -> None:
        words = [_digest(source.name).hex(), state]
        for path, data in files.items():
            words.append(f"{len(data)}:{_mark(path, data).hex()}")
        line = " ".join(words).encode()
        self._read(line)
        self._write(line + b"\n")

    def _write(self, line: bytes) -> None:
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _read(self, line: bytes) -> None:
        try:
            name, state, *words = line.decode("ascii").split(" ")
            key = bytes.fromhex(name)
            made = [word.partition(":")[::2] for word in words]
            sizes = tuple(int(size) for size, _ in made)
            self._marks.update(bytes.fromhex(mark) for _, mark in made)
            if state == "-":
                self._finished.pop(key, None)
            else:
                self._finished[key] = (bytes.fromhex(state), sizes)
        except ValueError:
            return  # damaged: its file will be made again


def _mark(path: bytes, data: bytes) -> bytes:
    return _digest(path + b"\0" + data)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=12).digest()
