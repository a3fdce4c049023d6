"""Each file is told truthfully: no image, not read here, or damaged."""

import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from image_pipeline.demo.photographs import photograph
from image_pipeline.imaging.formats import HEAD_BYTES, sniff, sniff_unread
from image_pipeline.imaging.recipe import Box, Format, Recipe
from image_pipeline.imaging.thumbnail import (
    CannotMake,
    Made,
    make_thumbnails,
    prepare,
)
from tests.image_pipeline.pictures import (
    QUARTERS,
    distance,
    opened,
    quarters,
    saved,
    seen_quarters,
)
from tests.support import Program

Start = Callable[..., Program]
PNG = Recipe((Box(320, 240),), Format.PNG)
TEXT = b"workflow\0\0" + zlib.compress(bytes(1_100_000))


@pytest.fixture(autouse=True)
def prepared() -> None:
    prepare()


def reason(data: bytes, recipe: Recipe = PNG) -> str:
    with pytest.raises(CannotMake) as caught:
        make_thumbnails(data, recipe)
    return str(caught.value)


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return struct.pack(">I", len(body) + 4) + body + bytes(64)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (ftyp(b"heic", b"mif1", b"heic"), "HEIF"),
        (ftyp(b"mif1", b"mif1", b"heic"), "HEIF"),  # Nokia, Sony's .HIF
        (ftyp(b"heix", b"mif1", b"heix"), "HEIF"),
        (ftyp(b"mif1", b"mif1", b"avif", b"miaf"), "AVIF"),
        (ftyp(b"MA1B", b"avif"), "AVIF"),
        (ftyp(b"isom", b"mp42"), None),
        (ftyp(b"qt  "), None),
        (b"\xff\x0a" + bytes(20), None),
    ],
)
def test_brands_are_read_to_the_last(head: bytes, name: str | None) -> None:
    assert sniff(head[:HEAD_BYTES]) == name


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\xff\x0a" + bytes(20), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\xff\x4f\xff\x51" + bytes(20), "JPEG 2000"),
        (ftyp(b"crx ", b"isom"), "camera raw"),
        (b"FUJIFILMCCD-RAW 0201", "camera raw"),
        (b"IIU\0" + bytes(20), "camera raw"),
        (b"FOVb" + bytes(20), "camera raw"),
        (b"II\x1a\0\0\0HEAPCCDR", "camera raw"),
        (b"8BPS\0\x01", "Photoshop"),
        (b"\xc5\xd0\xd3\xc6" + bytes(20), "PostScript"),
    ],
)
def test_a_sound_image_that_is_not_read_here_is_named(
    head: bytes, name: str
) -> None:
    assert sniff_unread(head[:HEAD_BYTES]) == name
    assert reason(head) == f"not read here: {name}"


def test_heic_of_a_phone_is_read_with_its_orientation() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    pillow_heif.from_pillow(quarters(320, 240)).save(
        buffer, quality=90, exif=exif.tobytes()
    )
    made = make_thumbnails(buffer.getvalue(), PNG)
    assert (made.width, made.height) == (240, 320)
    assert opened(made.thumbnails[0]).size == (180, 240)


# -- camera raw and pages ---------------------------------------------------


def tags(entries: dict[int, tuple[str, list[int]]], at: int) -> bytes:
    """Write an IFD at offset `at`; values that do not fit follow it."""
    blob, out = b"", struct.pack("<H", len(entries))
    behind = at + 2 + 12 * len(entries) + 4
    for tag, (kind, values) in sorted(entries.items()):
        data = struct.pack(f"<{len(values)}{kind}", *values)
        if len(data) > 4:
            place, data_at = data, behind + len(blob)
            blob += place
            data = struct.pack("<I", data_at)
        code = {"H": 3, "I": 4, "B": 1}[kind]
        out += struct.pack("<HHI", tag, code, len(values)) + data.ljust(
            4, b"\0"
        )
    return out + bytes(4) + blob


def raw(embedded: bytes, size: tuple[int, int]) -> bytes:
    """A DNG: a preview first, and `embedded` (of `size`) beside the raw."""
    preview = bytes(160 * 120 * 3)
    start = 4096
    first = tags(
        {
            254: ("I", [1]),
            256: ("I", [160]),
            257: ("I", [120]),
            258: ("H", [8, 8, 8]),
            259: ("H", [1]),
            262: ("H", [2]),
            273: ("I", [start]),
            277: ("H", [3]),
            278: ("I", [120]),
            279: ("I", [len(preview)]),
            330: ("I", [1024, 2048]),
            50706: ("B", [1, 4, 0, 0]),
        },
        8,
    )
    sensor = tags(
        {
            254: ("I", [0]),
            256: ("I", [1600]),
            257: ("I", [1200]),
            258: ("H", [16]),
            259: ("H", [1]),
            262: ("H", [32803]),
            273: ("I", [start]),
            279: ("I", [10]),
        },
        1024,
    )
    jpeg = tags(
        {
            254: ("I", [1]),
            256: ("I", [size[0]]),
            257: ("I", [size[1]]),
            259: ("H", [7]),
            273: ("I", [start + len(preview)]),
            279: ("I", [len(embedded)]),
        },
        2048,
    )
    head = (b"II*\0" + struct.pack("<I", 8) + first).ljust(1024, b"\0")
    head = (head + sensor).ljust(2048, b"\0")
    return (head + jpeg).ljust(start, b"\0") + preview + embedded


def test_camera_raw_is_made_from_a_full_size_picture_or_not_at_all() -> None:
    full = saved(quarters(1600, 1200), "JPEG")
    made = make_thumbnails(raw(full, (1600, 1200)), PNG)
    assert (made.width, made.height) == (1600, 1200)
    assert "embedded picture" in made.notes[0]
    seen = seen_quarters(opened(made.thumbnails[0]))
    assert distance(seen, list(QUARTERS)) < 9
    small = saved(quarters(320, 240), "JPEG")
    assert reason(raw(small, (320, 240))).startswith(
        "not read here: camera raw"
    )


def test_a_preview_page_is_passed_over() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (160, 120)).save(
        buffer,
        "TIFF",
        save_all=True,
        append_images=[quarters(640, 480)],
        tiffinfo={254: 1},
    )
    data = bytearray(buffer.getvalue())
    marked = data.rindex(b"\xfe\0\4\0\1\0\0\0")
    data[marked + 8] = 0  # Pillow marks both pages
    made = make_thumbnails(bytes(data), PNG)
    assert (made.width, made.height) == (640, 480)


# -- metadata never costs a picture -----------------------------------------


def chunk(kind: bytes, body: bytes, checksum: int | None = None) -> bytes:
    if checksum is None:
        checksum = zlib.crc32(kind + body)
    return (
        struct.pack(">I", len(body))
        + kind
        + body
        + struct.pack(">I", checksum)
    )


def with_chunk(inserted: bytes) -> bytes:
    data = saved(quarters(), "PNG")
    at = data.index(b"IDAT") - 4
    return data[:at] + inserted + data[at:]


@pytest.mark.parametrize(
    ("inserted", "note"),
    [
        (chunk(b"zTXt", TEXT), ""),
        (chunk(b"iTXt", b"workflow\0\1\0\0\0" + TEXT[10:]), ""),
        (chunk(b"tEXt", b"icc_profile\0hello"), ""),
        (chunk(b"tEXt", b"transparency\0hello"), ""),
        (chunk(b"tEXt", b"a\0b", checksum=1), "its damaged tEXt is ignored"),
        (chunk(b"zTXt", b"a\0\5nothing"), ""),
        (chunk(b"iCCP", b"p\0\0nothing"), "its colour profile does not fit"),
        (chunk(b"gAMA", b"", checksum=1), "its damaged gAMA is ignored"),
        (chunk(b"pHYs", b"x"), ""),
        (chunk(b"eXIf", b"nonsense"), ""),
    ],
)
def test_metadata_never_costs_a_picture(inserted: bytes, note: str) -> None:
    made = make_thumbnails(with_chunk(inserted), PNG)
    assert seen_quarters(opened(made.thumbnails[0])) == list(QUARTERS)
    assert note in "; ".join(made.notes)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("colours", [0, 2])
def test_a_transparent_colour_is_transparent_in_every_depth(
    depth: int, colours: int
) -> None:
    if colours == 2 and depth < 8:
        return
    most = 2**depth - 1
    samples = 3 if colours else 1
    row = [most] * samples * 8 + [0] * samples * 8
    bits = "".join(format(value, f"0{depth}b") for value in row)
    header = struct.pack(">IIBBBBB", 16, 4, depth, colours, 0, 0, 0)
    packed = int(bits, 2).to_bytes(len(bits) // 8)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"tRNS", struct.pack(">H", most) * samples)
        + chunk(b"IDAT", zlib.compress((b"\0" + packed) * 4))
        + chunk(b"IEND", b"")
    )
    image = opened(make_thumbnails(data, PNG).thumbnails[0]).convert("RGBA")
    assert image.getpixel((2, 2))[3] == 0  # type: ignore[index]
    assert image.getpixel((13, 2)) == (0, 0, 0, 255)


def test_damage_is_told_without_the_numbers_of_a_decoder() -> None:
    bmp = bytearray(saved(quarters(), "BMP"))
    bmp[28:30] = b"\x30\x75"  # bits in a pixel
    assert reason(bytes(bmp)) == "damaged: BMP: its header makes no sense"
    png = bytearray(saved(quarters(), "PNG"))
    png[-40] ^= 255
    assert reason(bytes(png)).startswith("damaged: PNG: ")
    tiff = b"II*\0" + b"\xff" * 60
    assert reason(tiff) == "damaged: TIFF: its header makes no sense"


def test_a_codec_inside_a_tiff_that_is_not_read_is_named() -> None:
    tiff = saved(quarters(), "TIFF")
    here = struct.pack("<HHIHH", 259, 3, 1, 1, 0)
    assert here in tiff
    webp = struct.pack("<HHIHH", 259, 3, 1, 50001, 0)
    told = reason(tiff.replace(here, webp))
    assert told == "not read here: TIFF with WebP inside"


# -- JPEG -------------------------------------------------------------------


def test_jpeg_of_twelve_bits_is_not_called_damaged() -> None:
    data = bytearray(saved(quarters(), "JPEG"))
    at = data.index(b"\xff\xc0") + 4
    data[at] = 12
    assert reason(bytes(data)) == "not read here: JPEG of 12 bits"


def test_adobe_rgb_that_is_told_by_exif_is_converted() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    exif._ifds.setdefault(0xA005, {1: "R03"})
    image = Image.new("RGB", (64, 64), (60, 200, 60))
    plain = make_thumbnails(saved(image, "JPEG", quality=95), PNG)
    told = make_thumbnails(saved(image, "JPEG", quality=95, exif=exif), PNG)

    def green(made: Made) -> tuple[int, ...]:
        pixel = opened(made.thumbnails[0]).convert("RGB").getpixel((32, 32))
        assert isinstance(pixel, tuple)
        return tuple(map(int, pixel))

    assert abs(green(plain)[0] - 60) < 4
    assert green(told)[0] < 10  # outside sRGB: as green as it gets
    assert green(told)[1] >= 199


def with_cicp(image: Image.Image, primaries: int, transfer: int) -> bytes:
    data = saved(image, "PNG")
    told = chunk(b"cICP", bytes((primaries, transfer, 0, 1)))
    at = data.index(b"IDAT") - 4
    return data[:at] + told + data[at:]


def with_nclx(
    kind: str, image: Image.Image, primaries: int, transfer: int
) -> bytes:
    data = saved(image, kind, quality=95)
    at = data.index(b"colrnclx") + 8
    told = struct.pack(">HH", primaries, transfer)
    return data[:at] + told + data[at + 4 :]


def with_cicp_in_its_profile(transfer: int) -> bytes:
    """Save a JPEG, whose profile has one more tag."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    icc = profile.tobytes()
    count = int.from_bytes(icc[128:132])
    behind = 132 + 12 * count
    table = icc[132:behind]
    moved = b"".join(
        table[at : at + 4]
        + struct.pack(">I", int.from_bytes(table[at + 4 : at + 8]) + 12)
        + table[at + 8 : at + 12]
        for at in range(0, len(table), 12)
    )
    body = icc[behind:] + bytes(-len(icc) % 4)
    tag = b"cicp" + struct.pack(">II", behind + 12 + len(body), 12)
    told = b"cicp" + bytes(4) + bytes((9, transfer, 0, 1))
    head = icc[4:128] + struct.pack(">I", count + 1)
    icc = head + moved + tag + body + told
    icc = struct.pack(">I", len(icc) + 4) + icc
    return saved(quarters(), "JPEG", icc_profile=icc)


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (with_cicp(quarters(), 9, 16), "HDR (PQ)"),
        (with_cicp(quarters(), 9, 18), "HDR (HLG)"),
        (with_nclx("AVIF", quarters(), 9, 16), "HDR (PQ)"),
        (with_nclx("AVIF", quarters(), 9, 18), "HDR (HLG)"),
        (with_cicp_in_its_profile(16), "HDR (PQ)"),
        (with_cicp_in_its_profile(1), ""),
        (with_cicp(quarters(), 1, 13), ""),
        (saved(quarters(), "AVIF"), ""),
    ],
)
def test_hdr_is_noted_as_it_looks_flat(data: bytes, note: str) -> None:
    notes = make_thumbnails(data, PNG).notes
    assert bool(notes) == bool(note)
    assert all(each.startswith(note) for each in notes)


def test_hdr_of_a_phone_is_noted_too() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    data = with_nclx("HEIF", quarters(), 9, 18)
    assert make_thumbnails(data, PNG).notes[0].startswith("HDR (HLG)")


@pytest.mark.parametrize("kind", ["PNG", "AVIF"])
@pytest.mark.parametrize(
    ("primaries", "to_srgb"),
    [
        (12, (1.2249, -0.2247, 0, -0.0420, 1.0419, 0, -0.02, -0.079, 1.098)),
        (
            9,
            (
                1.6605,
                -0.5876,
                -0.0728,
                -0.125,
                1.133,
                -0.008,
                -0.018,
                -0.1,
                1.119,
            ),
        ),
    ],
)
def test_wide_colours_that_are_told_by_number_are_converted(
    kind: str, primaries: int, to_srgb: tuple[float, ...]
) -> None:
    """The numbers are the matrices between the linear colour spaces."""
    colour = (150, 120, 100)
    image = Image.new("RGB", (64, 64), colour)
    if kind == "PNG":
        data = with_cicp(image, primaries, 13)
    else:
        data = with_nclx(kind, image, primaries, 13)
    linear = [((v / 255 + 0.055) / 1.055) ** 2.4 for v in colour]
    wanted = [
        sum(
            a * b for a, b in zip(to_srgb[row : row + 3], linear, strict=True)
        )
        for row in (0, 3, 6)
    ]
    wanted = [255 * (1.055 * v ** (1 / 2.4) - 0.055) for v in wanted]
    made = opened(make_thumbnails(data, PNG).thumbnails[0]).convert("RGB")
    seen = made.getpixel((32, 32))
    assert isinstance(seen, tuple)
    assert seen != colour
    assert max(abs(a - b) for a, b in zip(seen, wanted, strict=True)) <= 3


# -- the summary ------------------------------------------------------------


def test_a_mixed_folder_is_summed_up_by_reason_and_one_clash_stops_nothing(
    start: Start, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    photo = photograph(1, 320, 240)
    for number in range(5):
        (photos / f"IMG_{number}.jpg").write_bytes(photo)
        (photos / f"raw{number}.raf").write_bytes(b"FUJIFILMCCD-RAW 0201")
    (photos / "scan.j2k").write_bytes(b"\xff\x4f\xff\x51" + bytes(60))
    (photos / "page.jpg").write_bytes(b"<html>")
    (photos / "lost.jpg").write_bytes(bytes(999))
    (photos / "grass.tga").write_bytes(b"\0\0\x0a" + bytes(99))
    (photos / "logo.svg").write_bytes(b'\xef\xbb\xbf<?xml version="1.0"?>')
    for parts in range(2, 6):
        (photos / f"cut{parts}.jpg").write_bytes(photo[: 9_999 // parts])
    (photos / "n.png").write_bytes(saved(quarters(), "PNG"))
    (photos / "n.png.jpg").write_bytes(photo)
    (photos / "raw0.raf.jpg").write_bytes(photo)
    report = tmp_path / "report"
    program = start(
        *("image_pipeline", "run", str(photos), str(tmp_path / "thumbs")),
        *("--transport", "inproc", "--report", str(report)),
    )
    assert program.wait() == 1
    assert "22 files in" in program.stdout
    assert "7 made, 0 current, 0 skipped, 15 failed" in program.stdout
    for line in (
        "5 files: not read here: camera raw (raw0.raf, ",
        "4 files: damaged: JPEG: the file is cut off (cut",
        "grass.tga: not read here: TGA",
        "logo.svg: not read here: SVG",
        "lost.jpg: no image: it begins with nothing but zeros",
        "page.jpg: no image: its contents are not those of one",
    ):
        assert f"failed: {line}" in program.stderr
    assert "n.png.jpg: n.png and n.png.jpg would both" in program.stderr
    records = map(json.loads, report.read_text().splitlines())
    kinds = {each["source"]: each["kind"] for each in records}
    assert kinds["scan.j2k"] == kinds["raw1.raf"] == "not read here"
    assert kinds["page.jpg"] == "no image"
    assert kinds["cut2.jpg"] == "damaged"
    assert kinds["IMG_1.jpg"] == ""


def test_heic_is_read_by_a_worker_that_is_shut_in(
    start: Start, tmp_path: Path
) -> None:
    # The trap: its library needs another one of the system, which a worker
    # may not open any more.
    pillow_heif = pytest.importorskip("pillow_heif")
    (tmp_path / "photos").mkdir()
    pillow_heif.from_pillow(quarters()).save(tmp_path / "photos" / "a.heic")
    program = start(
        *("image_pipeline", "run", str(tmp_path / "photos")),
        *(str(tmp_path / "thumbs"), "--workers", "1"),
    )
    assert program.wait() == 0, program.stderr
    assert (tmp_path / "thumbs" / "a.heic.jpg").exists()
