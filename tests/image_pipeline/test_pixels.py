"""Every mode, turn and profile ends as the same four-coloured picture."""

import io
import math
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import ExifTags, Image, ImageCms, ImageDraw

from image_pipeline.demo.photographs import photograph
from image_pipeline.imaging.recipe import Box, Format, Recipe
from image_pipeline.imaging.thumbnail import make_thumbnails, prepare
from tests.image_pipeline.pictures import (
    QUARTERS,
    distance,
    opened,
    quarters,
    saved,
    seen_quarters,
)

EXACT = Recipe(sizes=(Box(80, 80),), format=Format.PNG)


@pytest.fixture(autouse=True)
def _prepared() -> None:
    prepare()


def thumbnail(data: bytes, recipe: Recipe = EXACT) -> Image.Image:
    made = make_thumbnails(data, recipe)
    assert len(made.thumbnails) == len(recipe.sizes)
    return opened(made.thumbnails[0])


def greys(image: Image.Image) -> list[int]:
    """The same quarters in grey, as Pillow weighs the colours."""
    return [seen[0] for seen in seen_quarters(image.convert("L"))]


def extremes(grey: Image.Image) -> tuple[int, int]:
    """The darkest and the brightest pixel."""
    values = grey.tobytes()
    return min(values), max(values)


IN_GREY = greys(quarters())
STORED = {  # how a camera turns what is to be seen upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def stored(upright: Image.Image, kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    if orientation in STORED:
        upright = upright.transpose(STORED[orientation])
    return saved(upright, kind, exif=exif)


# -- formats and modes ------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"quality": 95}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {"quality": 95}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "jpeg"}),
        ("TIFF", {"compression": "tiff_deflate", "big_tiff": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("PPM", {}),
    ],
)
def test_every_format_we_read_gives_the_same_picture(
    kind: str, options: dict[str, object]
) -> None:
    small = thumbnail(saved(quarters(), kind, **options))
    assert small.size == (80, 60)
    assert distance(seen_quarters(small), list(QUARTERS)) <= 12


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("RGB", "PNG"),
        ("RGBA", "PNG"),
        ("P", "PNG"),
        ("P", "GIF"),
        ("PA", "TIFF"),
        ("CMYK", "JPEG"),
        ("CMYK", "TIFF"),
        ("YCbCr", "TIFF"),
        ("LAB", "TIFF"),
    ],
)
def test_every_colour_mode_gives_the_same_picture(
    mode: str, kind: str
) -> None:
    image = quarters()
    if mode == "LAB":
        image = _lab(image)
    elif mode == "PA":
        image = image.convert("P", palette=Image.Palette.ADAPTIVE)
        image.putalpha(255)
    elif mode == "P":
        image = image.quantize(16)
    else:
        image = image.convert(mode)
    # Pillow 11 cannot read the uncompressed YCbCr that it writes.
    options = {"compression": "tiff_lzw"} if mode == "YCbCr" else {}
    small = thumbnail(saved(image, kind, **options))
    assert small.size == (80, 60)
    assert distance(seen_quarters(small), list(QUARTERS)) <= 12


def _lab(image: Image.Image) -> Image.Image:
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        "RGB",
        "LAB",
    )
    return transform.apply(image)


@pytest.mark.parametrize("mode", ["L", "LA", "I;16", "I;16B", "I", "F"])
def test_every_grey_mode_gives_the_same_picture_in_grey(mode: str) -> None:
    grey = quarters().convert("L")
    if mode in ("L", "LA"):
        data = saved(grey.convert(mode), "PNG")
    elif mode == "F":  # floating point samples go from 0 to 1
        data = saved(grey.convert("F").point(lambda v: v / 255), "TIFF")
    else:
        # Pillow's own `convert("L")` clips at 255: all of this turns white.
        deep = grey.convert("I").point(lambda v: v * 257)
        if mode == "I;16":
            deep = deep.convert("I;16")
        if mode == "I;16B":
            deep = Image.frombytes("I;16B", deep.size, big_endian(deep))
        data = saved(deep, "TIFF")
        assert set(greys(opened(data).convert("L"))) != set(IN_GREY)
    for seen, wanted in zip(greys(thumbnail(data)), IN_GREY, strict=True):
        assert abs(seen - wanted) <= 2


def big_endian(deep: Image.Image) -> bytes:
    little = deep.convert("I;16").tobytes()
    swapped = bytearray(little)
    swapped[::2], swapped[1::2] = little[1::2], little[::2]
    return bytes(swapped)


def test_floats_beyond_one_are_stretched_from_darkest_to_brightest() -> None:
    heights = quarters().convert("L").convert("F").point(lambda v: v * 9 - 50)
    seen = greys(thumbnail(saved(heights, "TIFF")))
    assert min(seen) == 0
    assert max(seen) == 255
    assert sorted(range(4), key=seen.__getitem__) == sorted(
        range(4), key=IN_GREY.__getitem__
    )


def test_an_image_of_one_value_only_does_not_divide_by_zero() -> None:
    flat = Image.new("F", (300, 300), 7.5)
    assert thumbnail(saved(flat, "TIFF")).size == (80, 80)


def test_samples_that_are_no_numbers_fail_with_a_reason() -> None:
    wrong = Image.new("F", (300, 300), math.inf)
    with pytest.raises(Exception, match="no finite numbers"):
        thumbnail(saved(wrong, "TIFF"))


def test_one_bit_and_palette_are_smoothed_not_torn() -> None:
    # A fine checkerboard must turn grey. Resized as palette or as 1 bit,
    # Pillow takes the nearest pixel, and black or white is left.
    board = Image.new("1", (400, 400))
    board.putdata([(x + x // 400) % 2 * 255 for x in range(400 * 400)])
    torn = board.resize((80, 80), Image.Resampling.BICUBIC)
    assert {value for _, value in torn.getcolors() or ()} <= {0, 255}
    for image in (board, board.convert("P"), board.convert("L")):
        small = thumbnail(saved(image, "PNG")).convert("L")
        low, high = extremes(small.crop((2, 2, 78, 78)))
        assert 100 < low <= high < 155


def test_only_the_first_frame_counts() -> None:
    frames = [quarters(), Image.new("RGB", (320, 240), "black")]
    for kind in ("GIF", "WEBP", "PNG", "AVIF", "TIFF", "MPO"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        assert opened(data).n_frames == 2  # type: ignore[attr-defined]
        small = thumbnail(data)
        assert distance(seen_quarters(small), list(QUARTERS)) <= 25, kind


# -- transparency -----------------------------------------------------------


def half_clear() -> Image.Image:
    """The left half is opaque, the right half not there (but black)."""
    image = quarters().convert("RGBA")
    image.paste((0, 0, 0, 0), (160, 0, 320, 240))
    return image


@pytest.mark.parametrize("kind", [Format.PNG, Format.WEBP, Format.AVIF])
def test_transparency_is_kept_where_the_format_has_it(kind: Format) -> None:
    recipe = Recipe(sizes=(Box(80, 80),), format=kind, quality=95)
    small = thumbnail(saved(half_clear(), "PNG"), recipe)
    assert small.mode == "RGBA"
    alpha = small.getchannel("A")
    assert alpha.getpixel((10, 30)) == 255
    assert alpha.getpixel((70, 30)) == 0


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "trns"])
def test_transparency_becomes_white_in_jpeg_without_dark_edges(
    mode: str,
) -> None:
    image = half_clear()
    if mode == "trns":  # a colour that means "clear", without any alpha
        flat = image.convert("RGB")
        data = saved(flat, "PNG", transparency=(0, 0, 0))
    elif mode == "P":
        data = saved(image.quantize(16), "PNG")
    else:
        data = saved(image.convert(mode), "PNG")
    recipe = Recipe(sizes=(Box(80, 80),), quality=95)
    small = thumbnail(data, recipe).convert("L")
    assert small.getpixel((70, 30)) in range(250, 256)
    # The clear pixels are black: had they been mixed in unweighted, the
    # edge would show a dark line, darker than both of its sides.
    left, _ = extremes(small.crop((15, 5, 25, 25)))
    darkest, _ = extremes(small.crop((36, 5, 44, 25)))
    assert darkest >= left - 12


# -- size and orientation ---------------------------------------------------


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((20_000, 1), (80, 1)),
        ((1, 20_000), (1, 80)),
        ((1, 1), (1, 1)),
        ((79, 33), (79, 33)),
        ((81, 80), (80, 79)),
        ((257, 257), (80, 80)),  # one more than whole blocks of JPEG
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_odd_sizes_fit_and_are_never_enlarged(
    size: tuple[int, int], wanted: tuple[int, int], kind: str
) -> None:
    assert thumbnail(saved(Image.new("RGB", size), kind)).size == wanted


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_ends_upright(kind: str, orientation: int) -> None:
    upright = quarters(640, 320)
    data = stored(upright, kind, orientation)
    recipe = Recipe(sizes=(Box(100, 80), Box(40, 30)), format=Format.PNG)
    made = make_thumbnails(data, recipe)
    assert (made.width, made.height) == (640, 320)
    for size, small in zip(
        ((100, 50), (40, 20)), map(opened, made.thumbnails), strict=True
    ):
        assert small.size == size
        assert distance(seen_quarters(small), list(QUARTERS)) <= 20


def test_broken_exif_costs_the_orientation_but_not_the_thumbnail() -> None:
    data = saved(
        quarters(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" * 9
    )
    assert thumbnail(data).size == (80, 60)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_box_is_filled_from_the_centre(kind: str, orientation: int) -> None:
    """White above and below, or left and right, is what is cut off."""
    image = Image.new("RGB", (800, 1600), "white")
    image.paste(quarters(800, 800), (0, 400))
    recipe = Recipe((Box(100, 100), Box(100, 25)), Format.PNG, fill=True)
    made = make_thumbnails(stored(image, kind, orientation), recipe)
    square, flat = map(opened, made.thumbnails)
    assert square.size == (100, 100)
    assert distance(seen_quarters(square), list(QUARTERS)) < 12
    assert square.getpixel((50, 2)) != (255, 255, 255)
    assert flat.size == (100, 25)
    assert distance(seen_quarters(flat), list(QUARTERS)) < 12


def test_a_box_that_is_larger_than_the_image_gets_its_shape_only() -> None:
    data = saved(quarters(90, 300), "PNG")
    made = thumbnail(data, Recipe((Box(200, 100),), fill=True))
    assert made.size == (90, 45)


def test_several_sizes_come_from_one_decode_in_the_order_asked_for() -> None:
    sizes = (Box(16, 16), Box(200, 100), Box(64, 64))
    made = make_thumbnails(
        saved(quarters(), "JPEG"), Recipe(sizes=sizes, format=Format.PNG)
    )
    assert [opened(each).size for each in made.thumbnails] == [
        (16, 12),
        (133, 100),
        (64, 48),
    ]


def test_jpeg_is_scaled_as_far_as_the_final_size_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Pillow's `thumbnail` looks at the box alone: 1500x1000 for a box of
    # 64x64 is decoded at 1/4, though 1/8 leaves twice the final 64x43.
    decoded = []
    resize = Image.Image.resize

    def watched(self: Image.Image, *args: object, **named: object) -> object:
        decoded.append(self.size)
        return resize(self, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", watched)
    data = saved(quarters(1500, 1000), "JPEG")
    opened(data).thumbnail((64, 64))
    make_thumbnails(data, Recipe(sizes=(Box(64, 64),)))
    assert decoded[0][0] in (375, 1500)
    assert decoded[-1] == (188, 125)


@pytest.mark.parametrize("scale", [3.1, 4.5, 8.9, 9.0, 12.0, 17.5])
def test_scaling_in_the_decoder_costs_less_than_jpeg_itself(
    scale: float,
) -> None:
    data = photograph(2, round(128 * scale), round(96 * scale))
    whole = opened(data)
    assert 0x0112 not in whole.getexif()  # so it was not taken upright
    box = Box(128, 96)
    small = thumbnail(data, Recipe(sizes=(box,), format=Format.PNG))
    ideal = whole.resize(box.fit(*whole.size), Image.Resampling.LANCZOS)
    as_jpeg = opened(saved(ideal, "JPEG", quality=80))
    assert error(small, ideal) < error(as_jpeg, ideal)


@pytest.mark.parametrize("scale", [11.5, 12.0, 15.6, 20.0])
def test_what_the_decoder_blurs_is_sharpened_again(scale: float) -> None:
    width, height = round(128 * scale), round(96 * scale)
    image = Image.new("RGB", (width, height), "grey")
    draw, rng = ImageDraw.Draw(image), random.Random(1)
    for _ in range(150):  # edges, as a photograph has and its noise has not
        corners = [
            (rng.randrange(width), rng.randrange(height)) for _ in range(3)
        ]
        draw.polygon(corners, fill=tuple(rng.randbytes(3)))
    data = saved(image, "JPEG", quality=92)
    whole, box = opened(data), Box(128, 96)
    size = box.fit(*whole.size)
    ideal = whole.resize(size, Image.Resampling.LANCZOS)
    small = thumbnail(data, Recipe(sizes=(box,), format=Format.PNG))
    draft = Image.open(io.BytesIO(data))
    drafted = draft.draft(None, size)
    assert drafted
    soft = draft.resize(size, Image.Resampling.LANCZOS, box=drafted[1])
    assert error(small, ideal) < 0.9 * error(soft, ideal)


def error(one: Image.Image, other: Image.Image) -> float:
    """The mean of the squares of all differences."""
    pairs = zip(one.tobytes(), other.tobytes(), strict=True)
    return sum((a - b) ** 2 for a, b in pairs) / len(one.tobytes())


# -- colour profiles and metadata -------------------------------------------


def swapped_profile() -> bytes:
    """A profile of sRGB with red and green exchanged."""
    profile = bytearray(
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    table = {}
    for number in range(int.from_bytes(profile[128:132], "big")):
        entry = 132 + 12 * number
        table[bytes(profile[entry : entry + 4])] = entry
    red, green = table[b"rXYZ"], table[b"gXYZ"]
    one = profile[red + 4 : red + 12]
    profile[red + 4 : red + 12] = profile[green + 4 : green + 12]
    profile[green + 4 : green + 12] = one
    return bytes(profile)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_colour_profile_is_applied(kind: str, mode: str) -> None:
    if kind == "JPEG" and mode == "RGBA":
        return  # JPEG has no transparency
    data = saved(
        quarters().convert(mode), kind, icc_profile=swapped_profile()
    )
    made = make_thumbnails(data, EXACT)
    assert made.notes == []
    red, green, *_ = seen_quarters(opened(made.thumbnails[0]))
    assert red[1] > 150 > red[0]
    assert green[0] > 150 > green[1]


@pytest.mark.parametrize("profile", [b"garbage", b"\0" * 4000])
def test_a_useless_profile_is_noted_and_ignored(profile: bytes) -> None:
    for image, kind in ((quarters(), "PNG"), (quarters(), "JPEG")):
        made = make_thumbnails(saved(image, kind, icc_profile=profile), EXACT)
        assert any("profile" in note for note in made.notes)
        small = opened(made.thumbnails[0])
        assert distance(seen_quarters(small), list(QUARTERS)) <= 12


def test_a_profile_for_another_kind_of_colour_is_noted_and_ignored() -> None:
    for image in (quarters().convert("CMYK"), quarters().convert("L")):
        data = saved(image, "JPEG", icc_profile=swapped_profile())
        made = make_thumbnails(data, EXACT)
        assert made.notes == [
            "its colour profile does not fit and is ignored"
        ]


@pytest.mark.parametrize("kind", list(Format))
def test_no_metadata_reaches_the_thumbnail(kind: Format) -> None:
    data = photograph(3, 640, 480)
    assert opened(data).getexif().get_ifd(ExifTags.IFD.GPSInfo)
    with_comment = saved(
        opened(data),
        "JPEG",
        exif=opened(data).info["exif"],
        comment=b"a secret comment",
        icc_profile=swapped_profile(),
        dpi=(300, 300),
    )
    (small,) = make_thumbnails(with_comment, Recipe(format=kind)).thumbnails
    assert b"secret" not in small
    assert b"Beyond" not in small
    assert not opened(small).getexif()
    assert not {"icc_profile", "exif", "comment"} & opened(small).info.keys()


# -- the whole --------------------------------------------------------------


@pytest.mark.parametrize("kind", list(Format))
def test_the_same_bytes_come_out_every_time_and_in_every_thread(
    kind: Format,
) -> None:
    data = photograph(8, 640, 480)
    recipe = Recipe(format=kind)
    (first,) = make_thumbnails(data, recipe).thumbnails
    with ThreadPoolExecutor(4) as pool:
        for made in pool.map(make_thumbnails, [data] * 8, [recipe] * 8):
            assert made.thumbnails == [first]
    assert opened(first).format == kind.upper()


def test_better_quality_makes_bigger_thumbnails() -> None:
    data = photograph(8, 640, 480)
    for kind in (Format.JPEG, Format.WEBP, Format.AVIF):
        low, high = (
            make_thumbnails(data, Recipe(format=kind, quality=quality))
            for quality in (20, 95)
        )
        assert len(low.thumbnails[0]) < len(high.thumbnails[0])


def test_random_crops_have_no_dark_seams_at_their_edges() -> None:
    # libvips found such seams in its own thumbnails: a scaled decode whose
    # last block was padded with black.
    rng = random.Random(7)
    for _ in range(40):
        size = rng.randrange(90, 700), rng.randrange(90, 700)
        white = Image.new("RGB", size, "white")
        small = thumbnail(saved(white, "JPEG", quality=90)).convert("L")
        assert extremes(small)[0] > 250, size


def test_reading_does_not_depend_on_the_bytes_after_the_image() -> None:
    data = saved(quarters(), "JPEG", quality=95)
    padded = io.BytesIO(data + b"\0" * 5000).getvalue()
    one, other = (
        make_thumbnails(each, EXACT).thumbnails for each in (data, padded)
    )
    assert one == other
