"""Thumbnails of ours whose source is gone.

Not what a list or a pattern has left out: a thumbnail stays as long as there
is any file in the source that it may have been made from.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from image_pipeline.imaging.recipe import Format
from image_pipeline.storage.scan import walk
from image_pipeline.storage.store import Content

_SUFFIXES = tuple(
    suffix.encode() for kind in Format for suffix in kind.suffixes
)
_SIZE = re.compile(rb"[0-9]*x[0-9]*/")
_DIGEST = re.compile(rb"~[0-9a-f]{8}\.[a-z]+$")  # of a name that was too long


def orphans(content: Content, source: Path, target: Path) -> Iterator[bytes]:
    """Yield the names of thumbnails to remove; none if no source is there.

    An empty source is more likely a disk that is not mounted.
    """
    if not walk(source, target).names:
        return
    for name in walk(target).names:
        if not name.lower().endswith(_SUFFIXES) or _DIGEST.search(name):
            continue
        if not _has_source(name, os.fsencode(source)):
            with suppress(OSError):  # behind a link, or gone
                if content.is_ours(name):
                    yield name


def _has_source(name: bytes, source: bytes) -> bool:
    names = {name, _SIZE.sub(b"", name, count=1)}
    names |= {each.rpartition(b".")[0] for each in names}
    return any(
        os.path.lexists(os.path.join(source, each))  # noqa: PTH118 - bytes
        for each in names
        if each
    )
