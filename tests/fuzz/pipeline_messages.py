"""image_pipeline: what a peer sends to worker, sink and ventilator."""

from collections.abc import Iterable
from contextlib import suppress
from math import inf

from tests.fuzz.kit import fuzz, instrumented

with instrumented():
    from image_pipeline import messages
    from image_pipeline import messages_pb2 as pb
    from image_pipeline.imaging import wire


def one(data: bytes) -> None:
    with suppress(messages.Malformed):
        task = messages.read_task(data, 2)
        assert len(task.ids) == 2 and all(task.ids) and task.timeout_ms
    with suppress(messages.Malformed):
        check(messages.read_receipts(data))
    with suppress(messages.Malformed):
        read = messages.read_to_sink(data, 1)
        if isinstance(read, pb.Reports):
            check(read.reports)
    with suppress(ValueError):
        recipe = wire.decode(data)
        assert wire.decode(wire.encode(recipe)) == recipe


def check(reports: Iterable[pb.Report]) -> None:
    for report in reports:
        assert f"{report.worker}{report.reason}".isprintable()
        assert 0 <= report.seconds < inf


if __name__ == "__main__":
    fuzz(one)
