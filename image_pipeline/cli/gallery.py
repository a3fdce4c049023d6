"""A contact sheet: one page that shows every thumbnail of a batch.

The page stands alone. It has no script, loads pictures as they scroll into
view, and follows the reader's light or dark setting. File names are shown
as text and linked as bytes, whatever characters they contain.
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from html import escape
from itertools import groupby
from pathlib import Path
from urllib.parse import quote_from_bytes

from image_pipeline.outcome import FileRecord, Outcome
from image_pipeline.storage.names import shown

PAGE = b"index.html"
_OURS = '<meta name="generator" content="image_pipeline">'
_NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
_HEAD_BYTES = 1024  # of a page of ours, which hold the line above

_STYLE = """
:root { color-scheme: light dark; --edge: color-mix(in srgb, CanvasText 12%,
  Canvas); font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 90rem; padding: 2rem clamp(1rem, 4vw, 4rem);
  }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1rem; font-weight: 600; margin: 2.5rem 0 .75rem;
  overflow-wrap: anywhere; }
p { margin: .25rem 0; opacity: .7; }
section { content-visibility: auto; contain-intrinsic-size: auto 40rem; }
ul { display: grid; gap: 1rem; list-style: none; margin: 0; padding: 0;
  grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); }
a { align-items: center; aspect-ratio: 1; background: var(--edge);
  border-radius: .5rem; display: flex; justify-content: center;
  overflow: hidden; }
a:hover, a:focus-visible { outline: 3px solid Highlight; }
img { height: 100%; object-fit: contain; width: 100%; }
small { display: block; opacity: .7; overflow: hidden; padding: .25rem 0;
  text-overflow: ellipsis; white-space: nowrap; }
""".strip()


def is_in_the_way(target: Path) -> bool:
    """Tell whether what stands at the place of the page is not ours."""
    page = target / os.fsdecode(PAGE)
    try:
        if not stat.S_ISREG(page.lstat().st_mode):
            return True
        with page.open("rb") as file:
            return _OURS.encode() not in file.read(_HEAD_BYTES)
    except OSError as error:  # what cannot be read is somebody else's
        return error.errno not in _NOTHING_THERE


def contact_sheet(records: Iterable[FileRecord]) -> bytes:
    """Return the page for all files that have a thumbnail, by folder.

    Links are relative to the target folder, where the page belongs. With
    several sizes the first is shown and the last linked.
    """
    shown = [
        record
        for record in records
        if record.outcome in (Outcome.MADE, Outcome.CURRENT)
        and record.outputs
    ]
    shown.sort(key=_folder_and_name)
    return "".join(_page(shown)).encode()


def _folder_and_name(record: FileRecord) -> tuple[bytes, bytes]:
    folder, _, name = record.source.rpartition(b"/")
    return folder, name


def _page(records: list[FileRecord]) -> Iterator[str]:
    yield (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"{_OURS}\n"
        f"<title>Thumbnails</title>\n<style>\n{_STYLE}\n</style>\n"
        f"<h1>Thumbnails</h1>\n<p>{len(records)} images</p>\n"
    )
    for folder, group in groupby(records, lambda r: _folder_and_name(r)[0]):
        yield f"<section>\n<h2>{escape(shown(folder)) or '.'}</h2>\n<ul>\n"
        for record in group:
            yield _figure(record)
        yield "</ul>\n</section>\n"


def _figure(record: FileRecord) -> str:
    name = escape(shown(record.source.rpartition(b"/")[2]))
    # A name may look like an address, `javascript:...`; after "./" it is a
    # file's in any case.
    links = ["./" + quote_from_bytes(output) for output in record.outputs]
    size = (
        f" width={record.width} height={record.height}"
        if record.width and record.height
        else ""
    )
    return (
        f'<li><a href="{links[-1]}"><img src="{links[0]}" alt="{name}"'
        f"{size} loading=lazy decoding=async></a>"
        f'<small title="{name}">{name}</small>\n'
    )
