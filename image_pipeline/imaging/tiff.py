"""TIFF: which layouts are read rightly, and where the whole picture is.

Pillow reads some layouts wrong without a word, so only those go to it that
came out right when each was compared with what was written (see the matrix
in the tests). Camera raw is TIFF that begins with a small preview: then the
picture is the largest JPEG in the file, if that is about as large as the raw.
"""

import io
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from PIL import TiffImagePlugin

from image_pipeline.imaging.formats import Kind
from image_pipeline.outcome import CannotMake

Folder = dict[int, Any]  # an image file directory: what each tag says

_MAX_FOLDERS = 64
_ABOUT = 0.9  # of the longest side in the file: a full-size preview
_ODD_SAMPLES = {2: "signed", 3: "floating-point"}
_JPEG = (6, 7)
_CODECS = {34712: "JPEG 2000", 34887: "LERC", 50001: "WebP", 50002: "JPEG XL"}
_MAKERS_RAW = (50706, 50649, 33421)  # DNG, Canon, colour filter array

# Tags of one number, and of several.
_NUMBERS = {254, 256, 257, 259, 262, 277, 284, 513, 514}
_LISTS = {258, 273, 279, 330, 338, 339}


class Unreadable(CannotMake):
    """It is damaged, or Pillow would read it wrong; the text says which."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a TIFF is to be read as."""

    embedded: bytes = b""  # a JPEG that is the picture
    page: int = 0
    inverted: bool = False  # Pillow leaves black and white exchanged


def look(data: bytes) -> Layout:
    """Raises Unreadable."""
    pages, below = _folders(data)
    first = pages[0]
    everything = sorted(pages + below, key=_longest, reverse=True)
    longest = _longest(everything[0])
    is_raw = data[8:10] == b"CR" or any(
        tag in folder for folder in everything for tag in _MAKERS_RAW
    )
    if is_raw or (first.get(254, 0) & 1 and below):
        for folder in everything:
            jpeg = _jpeg(data, folder)
            if jpeg and _longest(folder) >= _ABOUT * longest:
                return Layout(embedded=jpeg)
        if is_raw or _longest(first) < longest:
            raise Unreadable(
                f"{Kind.NOT_READ}: camera raw, of which only a preview of "
                f"{first.get(256)} x {first.get(257)} pixels could be shown"
            )
    page = next(
        (n for n, each in enumerate(pages) if not each.get(254, 0) & 1), 0
    )
    folder = pages[page]
    if why := _unread(folder):
        raise Unreadable(f"{Kind.NOT_READ}: TIFF with {why}")
    deep = max(folder.get(258, (1,))) > 8
    return Layout(page=page, inverted=folder.get(262) == 0 and deep)


def _folders(data: bytes) -> tuple[list[Folder], list[Folder]]:
    """Return the tags of all pages, and of the folders below them."""
    pages: list[Folder] = []
    below: list[Folder] = []
    file = io.BytesIO(data)
    with suppress(Exception):  # what it has before the damage is enough
        header = data[: 16 if 43 in data[2:4] else 8]  # 43: BigTIFF
        reader = TiffImagePlugin.ImageFileDirectory_v2(header)
        seen = {0}  # which means that no page follows
        todo: list[int] = []
        while reader.next not in seen and len(seen) <= _MAX_FOLDERS:
            seen.add(reader.next)
            file.seek(reader.next)
            reader.load(file)
            pages.append(_tags(reader))
            todo += pages[-1].get(330, ())
        for offset in dict.fromkeys(todo[:_MAX_FOLDERS]):
            if offset not in seen:
                file.seek(offset)
                reader.load(file)
                below.append(_tags(reader))
    if not pages or 256 not in pages[0]:
        raise Unreadable(f"{Kind.DAMAGED}: TIFF: its header makes no sense")
    return pages, below


def _tags(reader: TiffImagePlugin.ImageFileDirectory_v2) -> Folder:
    """Return the tags, but none that lacks the numbers it should have."""
    tags: Folder = {}
    for tag, value in reader.items():
        if tag in _NUMBERS | _LISTS:
            numbers = value if isinstance(value, tuple) else (value,)
            if {type(each) for each in numbers} != {int}:
                continue
            value = numbers if tag in _LISTS else numbers[0]
        tags[tag] = value
    return tags


def _longest(folder: Folder) -> int:
    longest: int = max(folder.get(256, 0), folder.get(257, 0))
    return longest


def _jpeg(data: bytes, folder: Folder) -> bytes:
    """Return the JPEG in one piece that `folder` is, or nothing."""
    start, length = folder.get(513, 0), folder.get(514, 0)
    if not start and folder.get(259) in _JPEG and 256 in folder:
        starts, lengths = folder.get(273, ()), folder.get(279, ())
        if len(starts) == len(lengths) == 1:
            (start,), (length,) = starts, lengths
    jpeg = data[start : start + length]
    return jpeg if jpeg[:3] == b"\xff\xd8\xff" else b""


def _unread(folder: Folder) -> str:
    """Return what is special about a page that Pillow would read wrong."""
    colour = folder.get(262, 1)
    bits = set(folder.get(258, (1,)))
    formats = set(folder.get(339, (1,)))
    samples = folder.get(277, 1)
    planes = folder.get(284, 1) == 2
    packed = folder.get(259, 1) != 1
    if codec := _CODECS.get(folder.get(259, 1)):
        return f"{codec} inside"
    if len(bits) > 1 or len(formats) > 1:
        return "samples of several kinds"
    depth, kind = bits.pop(), formats.pop()
    if kind in _ODD_SAMPLES:
        fine = depth == 32 and samples == 1 and colour == 1
        fine = fine and not (planes or packed)
        return "" if fine else f"{_ODD_SAMPLES[kind]} samples of {depth} bits"
    if kind not in (1, 4):  # unsigned, or not said
        return "complex samples"
    if depth not in {
        0: (1, 2, 4, 8, 16),
        1: (1, 2, 4, 8, 16),
        2: (8, 16),
        3: (1, 2, 4, 8),
        5: (8, 16),
        6: (8,),
        8: (8,),
    }.get(colour, ()):
        return f"{depth} bits a sample in colour space {colour}"
    if planes and samples == 1 and not packed:
        fine = colour and depth in (1, 8, 16)
        return "" if fine else "one plane that is stored apart"
    own = {2: 3, 5: 4, 6: 3, 8: 3}.get(colour, 1)
    if planes and samples > 1 and not packed and (depth > 8 or samples > own):
        return f"separate planes of {depth} bits"
    if planes and samples > own == 1:
        return "separate planes of grey and alpha"
    if depth > 8 and own == 1 and samples > 1:
        return f"grey and alpha of {depth} bits"
    return ""
