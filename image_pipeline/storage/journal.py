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

_DIGEST_BYTES = 12


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

    Close it, or use `with`. Raises OSError as files do.
    """

    def __init__(self, path: Path, writable: bool = True) -> None:
        self._finished: dict[bytes, tuple[bytes, tuple[int, ...]]] = {}
        self._marks: set[bytes] = set()
        flags = os.O_RDONLY
        if writable:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        # Never through a link, which anybody may have put there.
        descriptor = os.open(
            path,
            flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
            0o666,
        )
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
        self.close()

    def close(self) -> None:
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
        self._finished.pop(_digest(source.name), None)
        self._append(source, b"", files)

    def remember(self, source: Source, files: Mapping[bytes, bytes]) -> None:
        sizes = tuple(len(data) for data in files.values())
        self._finished[_digest(source.name)] = (source.state, sizes)
        self._append(source, source.state, files)

    def _append(
        self, source: Source, state: bytes, files: Mapping[bytes, bytes]
    ) -> None:
        words = [_digest(source.name).hex(), state.hex() or "-"]
        for path, data in files.items():
            mark = _mark(path, data)
            self._marks.add(mark)
            words.append(f"{len(data)}:{mark.hex()}")
        self._write((" ".join(words) + "\n").encode())

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
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()
