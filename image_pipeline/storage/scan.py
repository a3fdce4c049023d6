"""Finding the files of a batch, each exactly once, in a fixed order.

Names are bytes relative to the source folder, because that is what a file
system has: a name need not be text. Inside this module they are str, with
surrogates for what is not UTF-8 (PEP 383).

Hidden entries are left out, and so is the target folder. A link to a file
is a file. A link to a folder is followed, but each folder is walked only
once, under its real name where it has one below the source: so loops end,
and a web of links costs no more than its folders.
"""

import codecs
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from image_pipeline.imaging.formats import HEAD_BYTES, sniff, unread_here
from image_pipeline.imaging.recipe import Recipe
from image_pipeline.outcome import FileRecord, Outcome
from image_pipeline.storage.names import (
    BadName,
    Folding,
    check_name,
    collisions,
)
from image_pipeline.storage.store import PRIVATE


@dataclass(slots=True)
class Found:
    """The files to work on, sorted, and those that ended in being found."""

    names: list[bytes] = field(default_factory=list)
    ended: list[FileRecord] = field(default_factory=list)

    @property
    def total(self) -> int:
        return len(self.names) + len(self.ended)

    def end(self, name: str, outcome: Outcome, reason: str) -> None:
        self.ended.append(FileRecord(os.fsencode(name), outcome, reason))

    def sort(self) -> None:
        self.names = sorted(set(self.names))
        self.ended.sort(key=lambda record: record.source)


LINK = "a link, and --no-follow"

# Where other programs keep pictures that they have made themselves.
MADE_BY_OTHERS = ("@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX")


def exclude(found: Found, patterns: Iterable[str]) -> None:
    """Leave out names that a pattern matches, whole or in one part."""
    every = (*MADE_BY_OTHERS, *patterns)

    def is_wanted(name: bytes) -> bool:
        text = os.fsdecode(name)
        parts = text, *text.split("/")
        return not any(fnmatchcase(p, glob) for p in parts for glob in every)

    found.names = list(filter(is_wanted, found.names))


class BadFolders(ValueError):
    """Source and target do not go together; the text says why."""


def check_source(source: Path) -> None:
    """Raise BadFolders where `source` can be no folder of photographs."""
    if not source.is_dir():
        raise BadFolders(f"{source} is not a folder")
    if os.path.exists(source / PRIVATE / "journal"):  # noqa: PTH110
        raise BadFolders(
            f"{source} holds thumbnails that this program has made: did you "
            f"swap SRC and DST? If not, remove {source / PRIVATE}"
        )


def check_folders(source: Path, target: Path) -> None:
    """Raise BadFolders where a thumbnail might replace a photograph."""
    check_source(source)
    # Not `Path.resolve`, which raises RuntimeError for a loop of links.
    real_source = Path(os.path.realpath(source))
    real_target = Path(os.path.realpath(target))
    if real_source == real_target:
        raise BadFolders(
            f"{target} is the source itself: its photographs would be "
            "replaced by their thumbnails"
        )
    if real_source.is_relative_to(real_target):
        raise BadFolders(
            f"the source lies inside {target}, where a thumbnail could "
            "replace a photograph: choose a target beside or below the source"
        )


def walk(
    source: Path, target: Path | None = None, follow: bool = True
) -> Found:
    """Find every file below `source`, except hidden ones and `target`.

    Without `follow`, links end as skipped.
    """
    return _Walk(source, target, follow).found


class _Walk:
    def __init__(
        self, source: Path, target: Path | None, follow: bool
    ) -> None:
        self.source = source
        self.follow = follow
        self.found = Found()
        self._seen: set[tuple[int, int]] = set()
        self._links: list[str] = []
        for folder in (source, target):
            if folder:
                self._is_new(folder)
        self._descend("")
        while self._links:  # real folders came first and keep their names
            links, self._links = sorted(self._links), []
            for link in links:
                if self._is_new(source / link):
                    self._descend(link)
        self.found.sort()

    def _descend(self, top: str) -> None:
        folders = [top]  # a list, as a deep tree would exhaust the stack
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(self.source / folder) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                reason = f"the folder cannot be read: {error.strerror}"
                self.found.end(folder or ".", Outcome.FAILED, reason)
                continue
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                name = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    if self._is_new(entry):
                        folders.append(name)
                elif entry.is_symlink() and not self.follow:
                    self.found.end(name, Outcome.SKIPPED, LINK)
                elif entry.is_symlink() and Path(entry).is_dir():
                    self._links.append(name)
                elif entry.is_symlink() or entry.is_file():
                    self.found.names.append(os.fsencode(name))
                else:
                    self.found.end(
                        name, Outcome.SKIPPED, "a pipe, a socket or a device"
                    )

    def _is_new(self, folder: Path | os.DirEntry[str]) -> bool:
        with suppress(OSError):  # then `_descend` says what is wrong
            status = folder.stat()
            identity = (status.st_dev, status.st_ino)
            if identity in self._seen:
                return False
            self._seen.add(identity)
        return True


def listed(
    source: Path,
    listing: bytes,
    target: Path | None = None,
    follow: bool = True,
) -> Found:
    """Find the files that `listing` names, relative to `source`.

    Names end with NUL when there is a NUL anywhere (`find -print0`), else
    with a newline, or all with CR and newline, as Windows writes it. A name
    that leads out of `source` fails: there is no place for its thumbnail. A
    name that comes twice counts once. What lies in `target` is skipped: else
    `find` would list thumbnails of thumbnails.
    """
    found = Found()
    ours = b""
    if target:
        real = os.path.realpath(source)
        ours = os.fsencode(os.path.relpath(os.path.realpath(target), real))
    listing = listing.removeprefix(codecs.BOM_UTF8)
    if b"\0" in listing:
        names = listing.split(b"\0")
    else:
        names = listing.split(b"\n")
        if all(not name or name.endswith(b"\r") for name in names):
            names = [name.removesuffix(b"\r") for name in names]
    root = os.fsencode(source.absolute()) + b"/"
    for name in dict.fromkeys(names):
        inside = os.path.normpath(name.removeprefix(root))
        if inside == b".":  # no name, or how `find .` begins
            continue
        try:
            check_name(inside)
        except BadName as error:
            found.end(os.fsdecode(name), Outcome.FAILED, str(error))
            continue
        if ours and inside.startswith(ours + b"/"):
            found.end(os.fsdecode(inside), Outcome.SKIPPED, "in the target")
        elif not follow and _leads_through_a_link(source, inside):
            found.end(os.fsdecode(inside), Outcome.SKIPPED, LINK)
        else:
            found.names.append(inside)
    found.sort()
    return found


def _leads_through_a_link(source: Path, name: bytes) -> bool:
    path = source / os.fsdecode(name)
    below = (path, *path.parents)[: name.count(b"/") + 1]
    return any(each.is_symlink() for each in below)


def end_clashes(
    source: Path, found: Found, recipe: Recipe, fold: Folding
) -> None:
    """Fail one file of each two whose thumbnails would have one name.

    What is no image, or not read here, claims no name. Of two that are the
    first keeps it.
    """
    suspects = set[bytes]()
    for each in collisions(found.names, recipe, fold):
        suspects |= {each.first, each.second}
    images = [name for name in sorted(suspects) if _may_be_read(source, name)]
    lost = {each.second: each for each in collisions(images, recipe, fold)}
    for name, clash in lost.items():
        found.end(os.fsdecode(name), Outcome.FAILED, f"{clash}; rename one")
    found.names = [name for name in found.names if name not in lost]


def _may_be_read(source: Path, name: bytes) -> bool:
    """Decide by its first bytes; what cannot be opened may be an image."""
    path = source / os.fsdecode(name)
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            head = os.read(file, HEAD_BYTES)
        finally:
            os.close(file)
    except OSError:
        return True
    return sniff(head) not in (None, *unread_here())
