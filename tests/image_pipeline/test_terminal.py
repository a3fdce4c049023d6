"""What a person sees of a batch that is interrupted."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from image_pipeline.cli.display import show_batch
from image_pipeline.imaging.recipe import Recipe
from image_pipeline.outcome import ExitCode, FileRecord, Outcome
from image_pipeline.storage.scan import Found
from image_pipeline.storage.source import Files
from tests.image_pipeline.stage import make_photos, until
from tests.support import PATIENCE_S, ROOT


def test_a_second_ctrl_c_leaves_no_file_uncounted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trap: it may strike between an outcome and its being recorded."""
    found = Found([b"a.jpg", b"b.jpg"])
    stop = threading.Event()
    report = tmp_path / "report"

    def deliver(files: Files, **hooks: Any) -> None:
        assert files.names == found.names
        hooks["record"](FileRecord(b"a.jpg", Outcome.MADE))
        raise KeyboardInterrupt

    code = show_batch(
        deliver, Files(b"", found.names, Recipe()), found, stop, report=report
    )

    assert code is ExitCode.INTERRUPTED
    out, err = capsys.readouterr()
    assert "2 files" in out
    assert "1 made, 0 current, 0 skipped, 0 failed, 1 unfinished" in out
    assert f"{report} is not complete" in err


def test_ctrl_c_counts_everything_though_nobody_reads_stderr(
    tmp_path: Path,
) -> None:
    make_photos(tmp_path / "src", 1)
    names = tmp_path / "names"
    os.mkfifo(names)
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "image_pipeline", "run"),
            *(str(tmp_path / "src"), str(tmp_path / "dst")),
            *("--files-from", str(names)),
        ],
        stdout=subprocess.PIPE,
        stderr=writing,
        text=True,
        cwd=ROOT,
    ) as program:
        os.close(writing)
        with names.open("w") as listing:
            children = f"/proc/{program.pid}/task/{program.pid}/children"
            until(lambda: bool(Path(children).read_text()))
            program.send_signal(signal.SIGINT)
            listing.write("000.jpg\n")
        said, _ = program.communicate(timeout=PATIENCE_S)

    assert "1 files in" in said
    assert "1 unfinished" in said
    assert program.returncode == ExitCode.INTERRUPTED
