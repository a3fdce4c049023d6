"""Damaged, mislabelled and hostile images: none passes for a whole one."""

import io
import pickle
import random
import resource
import subprocess
import sys
import warnings

import pytest
from PIL import Image

from image_pipeline.demo.photographs import photograph
from image_pipeline.imaging.recipe import Box, Recipe
from image_pipeline.imaging.thumbnail import (
    CannotMake,
    Made,
    NotAnImage,
    make_thumbnails,
    prepare,
)
from tests.image_pipeline.pictures import (
    cut,
    cut_and_closed,
    needs_simplejpeg,
    opened,
    png_of_one_colour,
    quarters,
    saved,
    zero_filled,
)
from tests.support import ROOT

PHOTO = photograph(1, 640, 480)
STRICT = Recipe(strict=True)


@pytest.fixture(autouse=True)
def _prepared() -> None:
    prepare()


LENIENT = Recipe()


def refusal(data: bytes, recipe: Recipe = LENIENT) -> str:
    with pytest.raises(CannotMake) as caught:
        make_thumbnails(data, recipe)
    reason = str(caught.value)
    assert reason
    assert "\n" not in reason
    assert "0x" not in reason  # no address of an object in a sentence
    return reason


# -- no image at all --------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"Dear diary, today I took a photograph.\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"\xff\xd8",
    ],
)
def test_what_is_no_image_we_read_is_told_from_a_damaged_one(
    data: bytes,
) -> None:
    with pytest.raises(NotAnImage):
        make_thumbnails(data, Recipe())


def test_no_decoder_is_offered_that_starts_a_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Pillow starts Ghostscript for EPS. The allow-list keeps it from that,
    # whatever its own plugins would accept.
    def started(*_: object, **__: object) -> None:
        raise AssertionError("a program was started for an image")

    eps = saved(quarters(), "EPS")
    monkeypatch.setattr(subprocess, "Popen", started)
    assert refusal(eps, Recipe()) == "not read here: PostScript"


@pytest.mark.parametrize(
    "head",
    [
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"II*\0",
        b"MM\0*",
        b"BM",
        b"P6",
        b"RIFF\x24\x00\x00\x00WEBPVP8 ",
        b"\x00\x00\x00\x1cftypavif",
    ],
)
@pytest.mark.parametrize("rest", [b"", b"\0" * 500, b"\xff" * 500])
def test_a_good_beginning_and_nothing_behind_it_fails_with_a_reason(
    head: bytes, rest: bytes
) -> None:
    refusal(head + rest)


# -- damage that Pillow reports ---------------------------------------------


@pytest.mark.parametrize("size", [(640, 480), (40, 30)])
@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "BMP", "PPM"]
)
@pytest.mark.parametrize("share", [0.9, 0.5, 0.1])
def test_a_truncated_image_fails_in_every_format(
    kind: str, size: tuple[int, int], share: float
) -> None:
    # (40, 30) fits the box as it is. Pillow's `thumbnail` returns at once
    # for such an image and never looks at its data.
    data = saved(opened(PHOTO).resize(size), kind)
    assert make_thumbnails(data, Recipe()).thumbnails
    refusal(cut(data, share))


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF"])
def test_a_zero_filled_image_fails_where_the_format_can_tell(
    kind: str,
) -> None:
    options = {"compression": "tiff_lzw"} if kind == "TIFF" else {}
    refusal(zero_filled(saved(opened(PHOTO), kind, **options)))


def test_one_flipped_bit_fails_a_png_because_it_has_checksums() -> None:
    data = bytearray(saved(opened(PHOTO), "PNG"))
    data[len(data) // 2] ^= 1
    refusal(bytes(data))


# -- damage that Pillow keeps quiet about -----------------------------------

# The zeros go on for longer than what the decoder reads at a time.
QUIET = {
    "second half zeroed": zero_filled(PHOTO) + b"\0" * 65536,
    "cut, then closed": cut_and_closed(PHOTO),
    "progressive, cut, then closed": cut_and_closed(
        saved(opened(PHOTO), "JPEG", progressive=True)
    ),
    "grey, cut, then closed": cut_and_closed(
        saved(opened(PHOTO).convert("L"), "JPEG")
    ),
    "CMYK, cut, then closed": cut_and_closed(
        saved(opened(PHOTO).convert("CMYK"), "JPEG")
    ),
}


@needs_simplejpeg
@pytest.mark.parametrize("damage", QUIET)
def test_damage_that_pillow_keeps_quiet_about_fails_when_strict(
    damage: str,
) -> None:
    data = QUIET[damage]
    lenient = make_thumbnails(data, Recipe())
    assert lenient.thumbnails  # half of it grey, and nobody says a word
    assert "damaged: JPEG: strict" in refusal(data, STRICT)


@needs_simplejpeg
@pytest.mark.parametrize(
    "image",
    [
        opened(PHOTO),
        opened(PHOTO).convert("L"),
        opened(PHOTO).convert("CMYK"),
        quarters(1, 1),
        quarters(17, 9),
    ],
    ids=["colour", "grey", "CMYK", "one pixel", "part of a block"],
)
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_strict_accepts_every_sound_jpeg(
    image: Image.Image, options: dict[str, object]
) -> None:
    data = saved(image, "JPEG", **options)
    assert make_thumbnails(data, STRICT) == make_thumbnails(data, Recipe())


def tiff_with_a_bad_tag() -> bytes:
    """A TIFF of which Pillow warns, and which it shows all the same."""
    data = bytearray(saved(quarters(40, 30), "TIFF"))
    directory = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[directory : directory + 2], "little")
    entries = range(directory + 2, directory + 2 + 12 * count, 12)
    width = next(e for e in entries if data[e : e + 2] == b"\x00\x01")
    extra = data[width : width + 12]
    extra[0:8] = b"\x31\x01\x02\x00\xff\xff\x00\x00"  # text beyond the end
    at = directory + 2 + 12 * count
    moved = data[directory : directory + 2]
    moved[0] += 1
    body = data[directory + 2 : at] + extra + bytes(4)
    data[4:8] = len(data).to_bytes(4, "little")
    return bytes(data + moved + body)


def test_what_the_decoder_only_warns_of_is_noted_or_fails_when_strict() -> (
    None
):
    data = tiff_with_a_bad_tag()
    with warnings.catch_warnings(record=True) as printed:
        prepare()
        made = make_thumbnails(data, Recipe())
        assert made.notes
        assert "strict: the decoder warned" in refusal(data, STRICT)
    assert printed == []


def test_a_worker_without_simplejpeg_says_so_and_passes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    assert "pip install simplejpeg" in refusal(PHOTO, STRICT)
    png = saved(quarters(), "PNG")
    assert make_thumbnails(png, STRICT).thumbnails  # PNG has checksums


# -- decompression bombs ----------------------------------------------------

BOMB_SIDE = 30_000


def gif_with_a_huge_second_frame() -> bytes:
    frames = [quarters(40, 30), Image.new("RGB", (40, 30), "red")]
    data = bytearray(
        saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    )
    second = data.rindex(b"\x2c\0\0\0\0")  # its image descriptor
    data[second + 5 : second + 9] = b"\x30\x75\x30\x75"  # 30,000 x 30,000
    return bytes(data)


def avif_that_claims_to_be_huge() -> bytes:
    data = bytearray(saved(quarters(64, 48), "AVIF"))
    extent = data.index(b"ispe") + 8
    data[extent : extent + 8] = 2 * (17_000).to_bytes(4, "big")
    return bytes(data)


def bombs() -> dict[str, bytes]:
    side = 17_000
    progressive = saved(
        Image.new("L", (side, side)), "JPEG", progressive=True, quality=1
    )
    return {
        "png": png_of_one_colour(BOMB_SIDE, BOMB_SIDE),
        "gif": gif_with_a_huge_second_frame(),
        "avif": avif_that_claims_to_be_huge(),
        "jpeg": progressive,
    }


@pytest.mark.slow
def test_bombs_are_refused_with_the_memory_of_a_worker_bounded() -> None:
    # In a process of its own, as this one has made the bombs. The limit of
    # address space is the proof: 30,000 x 30,000 pixels would be 3.6 GB.
    program = (
        "import resource, sys, pickle\n"
        "from image_pipeline.imaging.thumbnail import *\n"
        "from image_pipeline.imaging.recipe import Recipe\n"
        "prepare()\n"
        "for name, data in pickle.load(sys.stdin.buffer).items():\n"
        "    try:\n"
        "        made = make_thumbnails(data, Recipe())\n"
        "        print(name, 'made', made.width, made.height)\n"
        "    except CannotMake as error:\n"
        "        print(name, 'refused:', error)\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print('peak', peak // 1024, 'MiB')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        input=pickle.dumps(bombs()),
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=50,
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_AS, (2**31, 2**31)
        ),
    )
    assert done.returncode == 0, done.stderr.decode()
    lines = dict(
        line.split(" ", 1) for line in done.stdout.decode().splitlines()
    )
    for name in ("png", "avif", "jpeg"):
        assert lines[name].startswith("refused:"), lines
    assert "--max-pixels" in lines["png"]
    assert "--max-pixels" in lines["jpeg"]
    # Only the first frame is decoded, and that one is small.
    assert lines["gif"] == "made 40 30"
    assert int(lines["peak"].split()[0]) < 300


@pytest.mark.slow
def test_the_limit_counts_the_frames_of_an_animation() -> None:
    frames = [quarters(100, 100).rotate(9 * v) for v in range(20)]
    for kind in ("GIF", "WEBP", "PNG", "AVIF"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        assert make_thumbnails(data, Recipe(max_pixels=200_000)).thumbnails
        reason = refusal(data, Recipe(max_pixels=199_999))
        assert "20 frames of 100 x 100 pixels" in reason


def test_further_pages_and_a_phones_second_picture_do_not_count() -> None:
    for kind in ("TIFF", "MPO"):
        data = saved(
            quarters(100, 100),
            kind,
            save_all=True,
            append_images=[quarters(100, 100)],
        )
        assert make_thumbnails(data, Recipe(max_pixels=10_000)).thumbnails
        refusal(data, Recipe(max_pixels=9_999))


def test_the_limit_holds_before_the_decoder_may_scale() -> None:
    # `draft` shrinks `size`: a limit looked at afterwards lets 16 times as
    # many pixels through.
    recipe = Recipe(sizes=(Box(16, 16),), max_pixels=640 * 480 - 1)
    assert "--max-pixels" in refusal(PHOTO, recipe)


def test_a_file_over_the_limit_of_bytes_is_not_even_opened() -> None:
    recipe = Recipe(max_bytes=len(PHOTO) - 1)
    assert f"{len(PHOTO)} bytes" in refusal(PHOTO, recipe)


# -- fuzz -------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "BMP", "PPM"]
)
def test_random_damage_ends_in_thumbnails_or_in_one_reason(
    kind: str,
) -> None:
    rng = random.Random(kind)
    whole = saved(opened(PHOTO).resize((120, 90)), kind)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 3, 30))):
            reach = rng.choice((64, len(data)))
            data[rng.randrange(min(reach, len(data)))] = rng.randrange(256)
        recipe = Recipe(max_pixels=2**22, strict=rng.random() < 0.3)
        try:
            made: Made | None = make_thumbnails(bytes(data), recipe)
        except CannotMake as error:
            assert str(error)
        else:
            assert made
            for small in made.thumbnails:
                Image.open(io.BytesIO(small)).load()
