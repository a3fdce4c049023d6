"""slides: a deck, which its author saves at any moment."""

from contextlib import suppress

from tests.fuzz.kit import as_file, fuzz, instrumented

with instrumented(include=["slides"]):
    from slides import DeckError
    from slides.deck import read


def one(data: bytes) -> None:
    with suppress(DeckError):
        for slide in read(as_file(data)):
            assert slide.titles and slide.seconds >= 0


if __name__ == "__main__":
    fuzz(one)
