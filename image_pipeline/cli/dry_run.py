"""What a run would do, without doing it."""

import os
from collections.abc import Iterator
from pathlib import Path

from image_pipeline.outcome import Unreadable
from image_pipeline.storage.journal import Source
from image_pipeline.storage.names import output_names, shown
from image_pipeline.storage.prune import orphans
from image_pipeline.storage.scan import Found
from image_pipeline.storage.source import Files
from image_pipeline.storage.store import looking_at


def dry_run(
    files: Files,
    found: Found,
    target: Path,
    overwrite: bool = False,
    prune: bool = False,
) -> Iterator[str]:
    """Yield, line by line, what a run would do with each file."""
    would = {"would be tried": 0, "current": 0, "skipped or failed": 0}
    for record in found.ended:
        would["skipped or failed"] += 1
        yield f"{record.outcome}: {shown(record.source)}: {record.reason}"
    fingerprint = files.recipe.fingerprint()
    with looking_at(target) as content:
        for number, name in enumerate(files.names, 1):
            try:
                size, mtime_ns, _ = files.measure(number)
                files.forget(number)
            except Unreadable as error:
                would["skipped or failed"] += 1
                yield f"{error.outcome}: {shown(name)}: {error}"
                continue
            outputs = output_names(name, files.recipe)
            source = Source(name, size, mtime_ns, fingerprint)
            if (
                content
                and not files.force
                and content.is_current(source, outputs)
            ):
                would["current"] += 1
                continue
            obstacles = (
                [content.obstacle(each, overwrite) for each in outputs]
                if content
                else []
            )
            if any(obstacles):
                would["skipped or failed"] += 1
                yield f"failed: {shown(name)}: {max(obstacles)}"
                continue
            would["would be tried"] += 1
            yield f"{shown(name)} -> {', '.join(map(shown, outputs))}"
        if prune and content:
            for name in orphans(
                content, Path(os.fsdecode(files.source)), target
            ):
                yield f"would be removed: {shown(name)}"
    counts = ", ".join(f"{count} {what}" for what, count in would.items())
    yield f"{found.total} files: {counts}"
