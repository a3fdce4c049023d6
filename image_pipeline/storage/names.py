"""Where the thumbnails of a file go, below the target folder.

One size: the tree of the source is kept, and so is the name when it already
ends like the output format; else the output's suffix is added, so `a.jpg`
and `a.png` do not meet: they become `a.jpg` and `a.png.jpg`.

Several sizes: the same below one folder for each size, `320x200/a.jpg`.
"""

import hashlib
import os
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from image_pipeline.imaging.recipe import Recipe
from image_pipeline.outcome import CannotKeep

LONGEST_NAME = 255  # bytes, on every file system in use (NAME_MAX)


class BadName(CannotKeep):
    """A name that must not be used as a path below the target."""


def shown(name: bytes) -> str:
    """Write `name` as one line of text that no terminal takes for orders."""
    return "".join(
        letter
        if letter.isprintable()
        else letter.encode("unicode_escape").decode()
        for letter in name.decode(errors="backslashreplace")
    )


def check_name(name: bytes) -> None:
    """Raise BadName unless `name` stays below the folder it is joined to.

    Names arrive over the wire; one with `..` in it would write anywhere.
    """
    if b"\0" in name:
        raise BadName(f"the name {shown(name)} contains a NUL byte")
    parts = name.split(b"/")
    if any(part in (b"", b".", b"..") for part in parts):
        raise BadName(
            f"the name {shown(name)} does not stay inside its folder"
        )
    if any(len(part) > LONGEST_NAME for part in parts):
        raise BadName(f"the name {shown(name)} is longer than a name may be")


def output_names(source: bytes, recipe: Recipe) -> tuple[bytes, ...]:
    """Name the thumbnails of `source`, in the order of the recipe's sizes.

    Raises BadName when `source` is not a name below a folder.
    """
    check_name(source)
    folder, slash, name = source.rpartition(b"/")
    suffixes = [suffix.encode() for suffix in recipe.format.suffixes]
    if not name.lower().endswith(tuple(suffixes)):
        name = _with_suffix(name, suffixes[0])
    output = folder + slash + name
    if len(recipe.sizes) == 1:
        return (output,)
    return tuple(f"{box}/".encode() + output for box in recipe.sizes)


def _with_suffix(name: bytes, suffix: bytes) -> bytes:
    """Add `suffix`; a name that gets too long ends in a digest instead."""
    if len(name) + len(suffix) <= LONGEST_NAME:
        return name + suffix
    ending = b"~" + hashlib.sha256(name).hexdigest()[:8].encode() + suffix
    start = name[: LONGEST_NAME - len(ending)]
    with suppress(UnicodeDecodeError):
        name.decode()  # in text, do not cut a letter in two
        start = start.decode(errors="ignore").encode()
    return start + ending


@dataclass(frozen=True, slots=True)
class Folding:
    """Which names a file system takes for one and the same.

    Most keep `A.jpg` apart from `a.jpg`, and a composed `é` from one made of
    two code points. FAT, NTFS and Apple's file systems do not, so `Store`
    asks the target folder by trying.
    """

    case: bool = False
    unicode: bool = False

    def __call__(self, name: bytes) -> bytes:
        if not (self.case or self.unicode):
            return name
        text = os.fsdecode(name)
        if self.unicode:
            text = unicodedata.normalize("NFC", text)
        if self.case:
            text = unicodedata.normalize("NFC", text.casefold())
        return os.fsencode(text)


@dataclass(frozen=True, slots=True)
class Collision:
    """Two files that would be given the same thumbnail."""

    first: bytes
    second: bytes
    output: bytes

    def __str__(self) -> str:
        return (
            f"{shown(self.first)} and {shown(self.second)} would both become "
            f"{shown(self.output)}"
        )


def collisions(
    sources: Iterable[bytes],
    recipe: Recipe,
    fold: Folding = Folding(),
) -> list[Collision]:
    """Find the sources whose thumbnails would replace each other.

    A thumbnail also collides with a folder of the same name: `a` becomes
    `a.jpg`, where `a.jpg/b.jpg` needs a folder.
    """
    # One size stands for all, as every size has a folder of its own.
    outputs = {source: output_names(source, recipe)[0] for source in sources}
    owners: dict[bytes, bytes] = {}
    for source, output in outputs.items():
        owners.setdefault(fold(output), source)
    found = []
    for source, output in outputs.items():
        name = fold(output)
        while name:
            owner = owners.get(name, source)
            if owner != source:
                found.append(Collision(owner, source, outputs[owner]))
                break
            name = name.rpartition(b"/")[0]
    return found
