"""Where the sink of this pipeline puts what it is sent: the target folder."""

from image_pipeline import messages_pb2 as pb
from image_pipeline.imaging.formats import HEAD_BYTES, sniff
from image_pipeline.imaging.recipe import Recipe
from image_pipeline.imaging.wire import decode
from image_pipeline.messages import Malformed
from image_pipeline.outcome import CannotKeep
from image_pipeline.storage.journal import Source
from image_pipeline.storage.names import BadName, check_name, output_names
from image_pipeline.storage.store import Store


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
        """Tell whether it needs no new thumbnail; raises Malformed."""
        try:
            check_name(file.name)
        except BadName as error:
            raise Malformed(str(error)) from None
        outputs = output_names(file.name, self._recipe)
        return self._store.is_current(self._source(file), outputs)

    def keep(self, file: pb.SourceFile, results: list[bytes]) -> None:
        """Write them all; raises CannotKeep and TargetError."""
        if len(results) != len(self._recipe.sizes):
            raise CannotKeep(f"a worker sent {len(results)} thumbnails")
        wanted = self._recipe.format.upper()
        for result in results:
            if (got := sniff(result[:HEAD_BYTES])) != wanted:
                raise CannotKeep(f"a worker sent {got or 'no image'}")
        outputs = output_names(file.name, self._recipe)
        self._store.keep(
            self._source(file), dict(zip(outputs, results, strict=True))
        )

    def discard(self, file: pb.SourceFile) -> None:
        """It has failed: no old picture of it stays; raises TargetError."""
        outputs = output_names(file.name, self._recipe)
        self._store.discard(self._source(file), outputs)

    def _source(self, file: pb.SourceFile) -> Source:
        return Source(
            file.name,
            file.size,
            file.mtime_ns,
            self._fingerprint,
            file.mode,
        )
