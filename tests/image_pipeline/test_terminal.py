"""What a person sees of a batch that is interrupted."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from image_pipeline.cli.display import show_batch
from image_pipeline.cli.signals import NOTICE, Stop
from image_pipeline.imaging.recipe import Recipe
from image_pipeline.outcome import ExitCode, FileRecord, Outcome
from image_pipeline.storage.scan import Found
from image_pipeline.storage.source import Files
from tests.image_pipeline import saboteur
from tests.image_pipeline.stage import make_photos, until
from tests.support import PATIENCE_S, ROOT, Program


def test_a_second_ctrl_c_leaves_no_file_uncounted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trap: it may strike between an outcome and its being recorded."""
    found = Found([b"a.jpg", b"b.jpg"])
    stop = Stop()
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_ctrl_c_leaves_the_progress_bar_where_it_was(tmp_path: Path) -> None:
    """The trap: a line that is printed below the bar moves the cursor.

    The next redraw then begins too low, and half a bar stays above it.
    """
    make_photos(tmp_path / "src", 400, saboteur.WAIT)
    screen, terminal = pty.openpty()
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.image_pipeline.sabotaged", "run"),
            *(str(tmp_path / "src"), str(tmp_path / "dst")),
        ],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
        cwd=ROOT,
        start_new_session=True,
    ) as program:
        os.close(terminal)
        seen = b""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                seen += os.read(screen, 2**16)
            except OSError:  # the other end has been closed
                break
            if NOTICE not in seen.decode() and re.search(rb"images/s", seen):
                program.send_signal(signal.SIGINT)
                while NOTICE.encode() not in seen:
                    seen += os.read(screen, 2**16)
    os.close(screen)

    assert program.returncode == ExitCode.INTERRUPTED
    before, _, after = seen.decode().partition(NOTICE)
    # The bar is erased before the notice is written, and drawn below it.
    assert before.endswith("\x1b[2K")
    assert re.search(r"images/s", after)


@pytest.mark.slow
def test_a_closed_terminal_ends_a_run_as_sigterm_does(tmp_path: Path) -> None:
    make_photos(tmp_path / "src", 400, saboteur.WAIT)
    with closing(
        Program(
            *("tests.image_pipeline.sabotaged", "run", "--report"),
            *(str(tmp_path / "report"), str(tmp_path / "src")),
            str(tmp_path / "dst"),
        )
    ) as program:
        until(lambda: any((tmp_path / "dst").glob("*.jpg")))
        program.signal(signal.SIGHUP)
        code = program.wait()

    assert code == ExitCode.INTERRUPTED
    assert NOTICE in program.stderr
    assert re.search(r"400 files in .* [1-9]\d* unfinished", program.stdout)
    assert len((tmp_path / "report").read_text().splitlines()) == 400
