"""Where the sink of this pipeline puts what it is sent: the target folder."""

from image_pipeline import messages_pb2 as pb
from image_pipeline.imaging.formats import HEAD_BYTES, sniff
from image_pipeline.imaging.recipe import Box, Recipe
from image_pipeline.imaging.size import size_of
from image_pipeline.imaging.wire import decode
from image_pipeline.messages import Malformed
from image_pipeline.outcome import CannotKeep
from image_pipeline.storage.journal import Source
from image_pipeline.storage.names import BadName, output_names
from image_pipeline.storage.store import Store

# Bytes. Not compressed at all, PNG has 4 for a pixel with its transparency.
MOST_FOR_A_PIXEL = 8
MOST_HEADER = 2**16


class Thumbnails:
    """The target folder, as the sink sees it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, instructions: bytes) -> None:
        """A new batch; raises Malformed."""
        try:
            self._recipe: Recipe = decode(instructions)
        except ValueError as error:
            raise Malformed(f"impossible recipe: {error}") from None
        self._fingerprint = self._recipe.fingerprint()

    def is_current(self, file: pb.SourceFile) -> bool:
        """Return whether it needs no new thumbnail; raises Malformed."""
        try:
            return self._store.is_current(*self._planned(file))
        except BadName as error:
            raise Malformed(str(error)) from None

    def keep(self, file: pb.SourceFile, results: list[bytes]) -> None:
        """Write them all; raises CannotKeep and TargetError."""
        if len(results) != len(self._recipe.sizes):
            raise CannotKeep(f"a worker sent {len(results)} thumbnails")
        for box, result in zip(self._recipe.sizes, results, strict=True):
            if trouble := _unlike(self._recipe.format.upper(), box, result):
                raise CannotKeep(f"a worker sent {trouble}")
        source, outputs = self._planned(file)
        self._store.keep(source, dict(zip(outputs, results, strict=True)))

    def discard(self, file: pb.SourceFile) -> None:
        """Remove old thumbnails of a failed file; raises TargetError."""
        self._store.discard(*self._planned(file))

    def _planned(
        self, file: pb.SourceFile
    ) -> tuple[Source, tuple[bytes, ...]]:
        """Return the file for the journal, and its thumbnails' names."""
        source = Source(
            file.name, file.size, file.mtime_ns, self._fingerprint, file.mode
        )
        return source, output_names(file.name, self._recipe)


def _unlike(wanted: str, box: Box, result: bytes) -> str:
    """Return why these bytes are no thumbnail for `box`, or nothing."""
    if (got := sniff(result[:HEAD_BYTES])) != wanted:
        return got or "no image"
    width, height = size_of(result, wanted)
    if not (0 < width <= box.width and 0 < height <= box.height):
        return f"{width} x {height} pixels for a box of {box}"
    most = MOST_HEADER + MOST_FOR_A_PIXEL * width * height
    if len(result) > most:
        return f"{len(result)} bytes of {width} x {height} pixels"
    return ""
