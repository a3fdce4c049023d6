"""The demonstration: what the room sees, and that it is true."""

import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import Program

ALL_MADE = "48 made, 0 current, 0 skipped, 0 failed, 0 unfinished"


@pytest.mark.timeout(180)
def test_a_worker_is_killed_and_every_image_is_made_three_times(
    start: Callable[..., Program], tmp_path: Path
) -> None:
    demo = start("image_pipeline", "demo", env={"TMPDIR": str(tmp_path)})
    assert demo.wait(150) == 0, demo.stdout + demo.stderr
    assert demo.stdout.count(ALL_MADE) == 3
    assert re.search(
        "worker 1 died; [1-9][0-9]* images were sent again, 0 were lost",
        demo.stdout,
    )
    assert "every image was made" in demo.stdout
    gallery = re.search(r"gallery: (.*)", demo.stdout)
    assert gallery
    page = Path(gallery.group(1))
    assert page.read_text().count("<img") == 48
    assert not list(tmp_path.glob("*/photographs")), "they are cleaned away"
    assert max(map(len, demo.stdout.splitlines())) <= 80 + len(str(tmp_path))


@pytest.mark.timeout(120)
def test_ctrl_c_ends_it_in_good_order(
    start: Callable[..., Program], tmp_path: Path
) -> None:
    demo = start("image_pipeline", "demo", env={"TMPDIR": str(tmp_path)})
    demo.wait_for("2. One worker", timeout=90)
    demo.signal(signal.SIGINT)
    assert demo.wait() == 130
    assert "Traceback" not in demo.stderr
    shutil.rmtree(tmp_path)
