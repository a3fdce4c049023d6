"""A contact sheet: one page that shows every thumbnail of a batch.

The page stands alone. It loads pictures as they scroll into view, follows
the reader's light or dark setting, and opens a picture at a click; without
its script the pictures are links. File names are shown as text and linked as
bytes, whatever characters they contain.
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from string import Template
from urllib.parse import quote_from_bytes

import click

from image_pipeline.imaging.recipe import Box
from image_pipeline.outcome import (
    CannotKeep,
    FileRecord,
    Outcome,
    TargetError,
)
from image_pipeline.storage.names import shown
from image_pipeline.storage.store import Store

PAGE = b"index.html"
_OURS = b'<meta name="generator" content="image_pipeline">'
_NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
_HEAD_BYTES = 1024  # of a page of ours, which hold the line above
_TOGETHER = 200  # pictures; a browser lays out only those it shows


def check_page(target: Path) -> None:
    """Refuse to overwrite a page that is not a gallery of ours."""
    page = target / os.fsdecode(PAGE)
    try:
        if stat.S_ISREG(page.lstat().st_mode):
            with page.open("rb") as file:
                if _OURS in file.read(_HEAD_BYTES):
                    return
    except OSError as error:  # what cannot be read is somebody else's
        if error.errno in _NOTHING_THERE:
            return
    raise click.UsageError(
        f"{page} was not made by --gallery: move it away, or choose another "
        "target"
    )


def keep(store: Store, source: Path, records: Iterable[FileRecord]) -> None:
    """Write the page; raises TargetError."""
    try:
        store.write(PAGE, contact_sheet(records, source, store.target))
    except CannotKeep as error:
        raise TargetError(f"no gallery in {store.target}: {error}") from None


def contact_sheet(
    records: Iterable[FileRecord], source: Path, target: Path
) -> bytes:
    """Return the page for all files that have a thumbnail, by folder.

    Links are relative to the `target` folder, where the page belongs; a
    caption leads to the original below `source`. With several sizes the last
    is what a click opens.
    """
    ended = sorted(records, key=lambda r: r.source.rpartition(b"/"))
    failed = [r for r in ended if r.outcome is Outcome.FAILED]
    pictures = [r for r in ended if r.outputs]
    source, target = source.resolve(), target.resolve()
    originals = os.fsencode(os.path.relpath(source, target))
    title = escape(shown(os.fsencode(source.name))) or "Thumbnails"
    page = Template((files(__package__) / "gallery.html").read_text("utf-8"))
    parts = [*_sections(pictures, title, originals), *_failures(failed)]
    return page.substitute(
        title=title, count=len(pictures), sections="".join(parts)
    ).encode()


def _sections(
    pictures: Sequence[FileRecord], title: str, originals: bytes
) -> Iterator[str]:
    for folder, group in groupby(
        pictures, lambda record: record.source.rpartition(b"/")[0]
    ):
        figures = [_figure(record, originals) for record in group]
        yield f"<section>\n<h2>{escape(shown(folder)) or title}</h2>\n"
        for start in range(0, len(figures), _TOGETHER):
            some = figures[start : start + _TOGETHER]
            yield f"<ul>\n{''.join(some)}</ul>\n"
        yield "</section>\n"


def _failures(failed: Sequence[FileRecord]) -> Iterator[str]:
    if failed:
        yield f"<details>\n<summary>{len(failed)} failed</summary>\n<ul>\n"
        for each in failed:
            yield f"<li>{escape(f'{shown(each.source)}: {each.reason}')}\n"
        yield "</ul>\n</details>\n"


def _figure(record: FileRecord, originals: bytes) -> str:
    name = escape(shown(record.source.rpartition(b"/")[2]))
    links = [_link(output) for output in record.outputs]
    size, ratio = "", 1.0
    if record.width and record.height:
        ratio = record.width / record.height
        size = f" width={record.width} height={record.height}"
        size += _choice(record, links)
    return (
        f'<li style="--ratio:{ratio:.3f}">'
        f'<a href="{links[-1]}"><img src="{links[0]}" alt="{name}"'
        f'{size} loading=lazy decoding=async></a><small title="{name}">'
        f'<a href="{_link(originals + b"/" + record.source)}">{name}</a>'
        "</small>\n"
    )


def _link(name: bytes) -> str:
    """A name may look like an address, `javascript:...`; not after "./"."""
    return "./" + quote_from_bytes(name)


def _choice(record: FileRecord, links: Sequence[str]) -> str:
    """Let the browser choose a size; the folder of each says which."""
    if len(links) == 1:
        return ""
    size, width = (record.width, record.height), {}
    for output, link in zip(record.outputs, links, strict=True):
        box = Box.parse(os.fsdecode(output.partition(b"/")[0]))
        width[box.fit(*size)[0]] = link
    choice = ", ".join(f"{link} {pixels}w" for pixels, link in width.items())
    rem = 12 * record.width / record.height
    return f' srcset="{choice}" sizes="(max-width: 40rem) 50vw, {rem:.0f}rem"'
