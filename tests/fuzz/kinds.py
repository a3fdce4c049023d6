"""image_pipeline: what a file or a thumbnail is, by its first bytes."""

from contextlib import suppress

from tests.fuzz.kit import fuzz, instrumented

with instrumented():
    from image_pipeline.imaging import formats, jpeg, png, size, tiff


def one(data: bytes) -> None:
    formats.sniff(data)
    formats.sniff_unread(data)
    jpeg.trouble(data)
    png.without_odd_metadata(data, [])
    for name in ("JPEG", "PNG", "WEBP", "AVIF"):
        assert all(0 <= side < 2**32 for side in size.size_of(data, name))
    with suppress(tiff.Unreadable):
        tiff.look(data)


if __name__ == "__main__":
    fuzz(one)
