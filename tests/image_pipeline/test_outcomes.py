"""Five outcomes that add up, the exit code, and the report."""

import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from image_pipeline.cli.report import Report
from image_pipeline.outcome import ExitCode, FileRecord, Outcome, Tally


def tally(**counts: int) -> Tally:
    return Tally({Outcome(name): count for name, count in counts.items()})


def test_the_five_counts_add_up_and_all_are_named() -> None:
    some = tally(made=3, failed=1, skipped=2)
    assert some.total() == 6
    assert str(some) == (
        "3 made, 0 current, 2 skipped, 1 failed, 0 unfinished"
    )


@pytest.mark.parametrize(
    ("counts", "interrupted", "code"),
    [
        ({}, False, ExitCode.ALL_WELL),
        ({"made": 2, "current": 1, "skipped": 1}, False, ExitCode.ALL_WELL),
        ({"made": 2, "failed": 1}, False, ExitCode.SOME_FAILED),
        ({"unfinished": 1, "failed": 1}, False, ExitCode.INCOMPLETE),
        ({"unfinished": 1, "failed": 1}, True, ExitCode.INTERRUPTED),
        # Ctrl-C came when nothing was left to do.
        ({"made": 2}, True, ExitCode.ALL_WELL),
    ],
)
def test_the_exit_code_tells_how_the_batch_ended(
    counts: dict[str, int], interrupted: bool, code: ExitCode
) -> None:
    assert tally(**counts).exit_code(interrupted) is code


def test_a_report_returns_every_name_byte_for_byte(
    tmp_path: Path,
) -> None:
    records = [
        FileRecord(
            b"a/\xff new\nline.jpg",
            Outcome.MADE,
            outputs=(b"a/\xff new\nline.jpg",),
            bytes=1234,
            width=40,
            height=30,
            seconds=0.25,
            worker="worker-1",
            attempts=2,
        ),
        FileRecord("ü.png".encode(), Outcome.FAILED, reason="damaged ☠"),
    ]
    path = tmp_path / "report"
    with closing(Report(path)) as report:
        for record in records:
            report.write(record)
    assert report.trouble == ""
    lines = path.read_bytes().decode("ascii").splitlines()
    assert len(lines) == len(records)
    assert list(map(read, lines)) == records


def read(line: str) -> FileRecord:
    fields = json.loads(line)
    fields["source"] = os.fsencode(fields["source"])
    fields["outputs"] = tuple(map(os.fsencode, fields["outputs"]))
    return FileRecord(**fields)


def test_a_report_that_cannot_be_written_says_so_and_nothing_breaks() -> None:
    with closing(Report(Path("/dev/full"))) as report:
        for _ in range(200):
            report.write(FileRecord(b"a.jpg", Outcome.MADE))
    assert report.trouble == "No space left on device"
