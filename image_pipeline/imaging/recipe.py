"""What to make of each image: the options of a batch as one value.

A recipe is equal to another exactly when it makes the same thumbnails, and
`fingerprint` turns that into a word that can be stored beside them.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

# The longest side that WebP can store, which is the least of our formats.
LONGEST_SIDE = 16_383

# Raised when the same recipe comes to make different pixels.
_EDITION = 2


class Format(StrEnum):
    """The formats in which a thumbnail may be written."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    AVIF = "avif"

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The endings of its file names; the first is the usual one."""
        if self is Format.JPEG:
            return ".jpg", ".jpeg", ".jpe", ".jfif"
        return (f".{self}",)

    @property
    def has_alpha(self) -> bool:
        return self is not Format.JPEG


@dataclass(frozen=True, order=True, slots=True)
class Box:
    """The box, in pixels, that a thumbnail must fit into, or fills."""

    width: int
    height: int

    def __post_init__(self) -> None:
        for side in (self.width, self.height):
            if not 1 <= side <= LONGEST_SIDE:
                raise ValueError(
                    f"a thumbnail of {self} cannot be made: each side must "
                    f"be from 1 to {LONGEST_SIDE} pixels"
                )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `256` (a square), `320x200`, `320x` (any height) or `x200`.

        Raises ValueError for anything else.
        """
        match = re.fullmatch(r"([0-9]{0,6})(x?)([0-9]{0,6})", text.strip())
        width, by, height = match.groups() if match else ("", "", "")
        if not (width or height) or (height and not by):
            raise ValueError(
                f"{text!r} is not a size: write 256 for a square box, "
                "320x200 for width and height in pixels, or 320x or x200 "
                "for one of them"
            )
        free = str(LONGEST_SIDE) if by else width
        return cls(int(width or free), int(height or free))

    def __str__(self) -> str:
        sides = [
            "" if side == LONGEST_SIDE else str(side)
            for side in (self.width, self.height)
        ]
        if not any(sides):
            return f"{self.width}x{self.height}"
        return "x".join(sides)

    def fit(self, width: float, height: float) -> tuple[int, int]:
        """Return the size of width x height fitted into the box.

        It keeps the proportions, never upscales, and is never empty.
        """
        scale = min(self.width / width, self.height / height, 1.0)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def share(self, width: int, height: int) -> tuple[float, float]:
        """Return how much of each side is left, cut to the box's shape."""
        scale = min(width / self.width, height / self.height)
        return (
            min(1.0, self.width * scale / width),
            min(1.0, self.height * scale / height),
        )

    @property
    def is_open(self) -> bool:
        return LONGEST_SIDE in (self.width, self.height)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides how thumbnails are made."""

    sizes: tuple[Box, ...] = (Box(256, 256),)
    format: Format = Format.JPEG
    quality: int = 80  # 1 to 100; PNG has no use for it
    strict: bool = False  # what the decoder only warns of fails the image
    fill: bool = False  # crop from the centre to the shape of the box
    # Pillow keeps 4 bytes for a pixel, so these fill 400 MB.
    max_pixels: int = 100_000_000
    max_bytes: int = 2**29

    def __post_init__(self) -> None:
        if not self.sizes or len(set(self.sizes)) < len(self.sizes):
            raise ValueError("sizes: give one or several, each only once")
        if self.fill and any(box.is_open for box in self.sizes):
            raise ValueError("a box to fill needs both sides, as in 320x200")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality {self.quality} is not from 1 to 100")
        if self.max_pixels < 1 or self.max_bytes < 1:
            raise ValueError("the limits must be positive numbers")

    def fingerprint(self) -> str:
        """Return a word that changes when the thumbnails would.

        The limits are left out: they decide whether an image is made, not
        how, and raising one for three scans must not make 50,000 photos
        again.
        """
        words = [
            str(_EDITION),
            *(str(box) for box in self.sizes),
            self.format.value,
            str(self.quality),
            "strict" if self.strict else "lenient",
            *(["fill"] if self.fill else []),
        ]
        return hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]
