"""Arguments and surroundings that cannot be used, each with a sentence."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.image_pipeline.stage import make_photos
from tests.support import PATIENCE_S, ROOT, Program

Start = Callable[..., Program]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    make_photos(folder, 1)
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "dst"


def test_ctrl_c_while_files_are_being_found_is_an_interruption(
    source: Path, tmp_path: Path, start: Start
) -> None:
    names = tmp_path / "names"
    os.mkfifo(names)
    program = start(
        *("image_pipeline", "ventilator", str(source)),
        *("--files-from", str(names)),
    )
    with names.open("w"):
        program.signal(signal.SIGINT)
        assert program.wait() == 130
    assert "Traceback" not in program.stderr
    assert "Aborted" not in program.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_descriptor_costs_no_thumbnail(
    source: Path, target: Path, closed: str
) -> None:
    done = subprocess.run(
        [
            *("sh", "-c"),
            f'exec "$0" -W error -m image_pipeline run "$@" {closed}',
            *(sys.executable, str(source), str(target)),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert (target / "000.jpg").exists()
