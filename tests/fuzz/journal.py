"""image_pipeline: the journal of a target, which others may have damaged."""

from tests.fuzz.kit import as_file, fuzz, instrumented

with instrumented():
    from image_pipeline.storage.journal import Journal, Source

NOTED = Source(b"a.jpg", 1, 2, "recipe")


def one(data: bytes) -> None:
    path = as_file(data)
    with Journal(path) as journal:
        journal.sizes(NOTED)
        journal.has_made(b"a.jpg", b"thumbnail")
        journal.remember(NOTED, {b"a.jpg": b"thumbnail"})
    with Journal(path, writable=False) as again:
        assert again.sizes(NOTED) == (9,)
        assert again.has_made(b"a.jpg", b"thumbnail")
        assert not again.has_made(b"a.jpg", b"another")


if __name__ == "__main__":
    fuzz(one)
