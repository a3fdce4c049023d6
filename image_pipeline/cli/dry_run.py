"""What a run would do, without doing it."""

import os
from collections.abc import Iterator
from pathlib import Path

from image_pipeline.outcome import Outcome, Unreadable
from image_pipeline.storage.journal import Source
from image_pipeline.storage.names import output_names, shown
from image_pipeline.storage.prune import orphans
from image_pipeline.storage.scan import Found
from image_pipeline.storage.source import Files
from image_pipeline.storage.store import looking_at


def dry_run(
    files: Files, found: Found, target: Path, overwrite: bool, prune: bool
) -> Iterator[str]:
    """Yield, line by line, what a run would do with each file."""
    tried = current = 0
    for record in found.ended:
        yield f"{record.outcome}: {shown(record.source)}: {record.reason}"
    fingerprint = files.recipe.fingerprint()
    with looking_at(target) as content:
        earlier = None if files.force else content
        for number, name in enumerate(files.names, 1):
            outputs = output_names(name, files.recipe)
            try:
                size, mtime_ns, _ = files.measure(number)
                files.forget(number)
                source = Source(name, size, mtime_ns, fingerprint)
                if earlier and earlier.is_current(source, outputs):
                    current += 1
                    continue
                for each in outputs:
                    if content and (why := content.obstacle(each, overwrite)):
                        raise Unreadable(Outcome.FAILED, why)
            except Unreadable as error:
                yield f"{error.outcome}: {shown(name)}: {error}"
            else:
                tried += 1
                yield f"{shown(name)} -> {', '.join(map(shown, outputs))}"
        if prune and content:
            folder = Path(os.fsdecode(files.source))
            for name in orphans(content, folder, target):
                yield f"would be removed: {shown(name)}"
    lost = found.total - tried - current
    yield (
        f"{found.total} files: {tried} would be tried, {current} current, "
        f"{lost} skipped or failed"
    )
