"""The made-up photographs stand for real ones in what matters."""

from PIL import ExifTags

from image_pipeline.demo.photographs import photograph
from tests.image_pipeline.pictures import opened


def test_a_photograph_is_as_heavy_as_a_real_one() -> None:
    data = photograph(1)
    image = opened(data)
    assert sorted(image.size) == [1728, 2304]
    assert 1_000_000 < len(data) < 2_500_000
    exif = image.getexif()
    assert exif[ExifTags.Base.Make]
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)


def test_the_same_seed_makes_the_same_photograph_and_another_does_not() -> (
    None
):
    one, again, other = (photograph(seed, 320, 240) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_some_are_taken_upright() -> None:
    orientations = {
        opened(photograph(seed, 64, 48)).getexif().get(0x0112, 1)
        for seed in range(20)
    }
    assert orientations == {1, 6}
