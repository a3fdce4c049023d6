"""Interfaces of what is handed in: a source of bytes, and a store for them.

Nothing in `delivery`, `supervision` and `transport` knows what the bytes
are. `storage.source.Files`, `imaging.make` and `storage.thumbnails` are one
answer; a word count in tests/ is another.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Protocol

from image_pipeline import messages_pb2 as pb
from image_pipeline.outcome import FileRecord, Made, Outcome, Unreadable

# From the bytes of a file and the recipe to the results. Raises CannotMake,
# or anything else, for this file; Unfit where it is not of the right kind.
Make = Callable[[bytes, bytes], Made]


def load(name: str) -> Make:
    """Return the function that "module:function" names."""
    module, _, function = name.partition(":")
    make: Make = getattr(import_module(module), function)
    return make


class Source(Protocol):
    """The files of a batch, to the ventilator; the first is number 1."""

    @property
    def names(self) -> Sequence[bytes]: ...
    @property
    def instructions(self) -> bytes:
        """The recipe, as workers and store understand it."""

    @property
    def timeout(self) -> float:
        """Seconds that a worker may take for one file."""

    @property
    def force(self) -> bool:
        """Make even what is up to date."""

    def measure(self, number: int) -> tuple[int, int, int]:
        """Return size, time of change (ns) and mode; raises Unreadable."""

    def read(self, number: int) -> bytes:
        """Raises Unreadable, and Changed since it was measured."""

    def unfit(self, number: int, reason: str, /) -> Unreadable:
        """Decide how a file ends that a worker found Unfit."""

    def final(
        self, number: int, outcome: Outcome, reason: str, **made: Any
    ) -> FileRecord:
        """Return the final word; `made` are further fields of a record."""


class Store(Protocol):
    """Where the sink puts the results."""

    def begin(self, instructions: bytes, /) -> None:
        """A new batch; raises Malformed."""

    def is_current(self, file: pb.SourceFile) -> bool:
        """Return whether its results are there already; raises Malformed."""

    def keep(self, file: pb.SourceFile, results: list[bytes]) -> None:
        """Store them; raises CannotKeep for this file, TargetError for all.

        The name is checked by `is_current`, which is always asked first.
        """

    def discard(self, file: pb.SourceFile) -> None:
        """It has failed: drop older results of it; raises TargetError."""
