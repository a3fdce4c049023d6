"""What a terminal shows on a slide is what the command really prints."""

import re
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir

import pytest

from slides import HERE
from slides.terminal import (
    DEMOS,
    TYPED,
    Played,
    headline,
    record,
    summary,
    timeless,
)
from tests.support import Program

RECORDINGS = sorted((HERE / "recordings").glob("*.txt"))
ALL_MADE = "48 made, 0 current, 0 skipped, 0 failed, 0 unfinished"

# The first test that asks for the show waits for all of it.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@dataclass(frozen=True)
class Show:
    """All demos, and beside them one of them once more."""

    all: Program
    beside: Program
    folders: tuple[Path, Path]  # where each of them makes its files


# They compute for half a minute, so every test looks at the same ones.
@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Show]:
    folders = tmp_path_factory.mktemp("all"), tmp_path_factory.mktemp("one")
    all_env, one_env = ({"TMPDIR": str(folder)} for folder in folders)
    with closing(
        Program("tests.slides.small_demo", env=all_env)
    ) as everything:
        everything.wait_for("photographs of . megapixel", timeout=90)
        # From here on neither may take a port or a path from the other.
        pipeline = Program("tests.slides.small_demo", "demo", env=one_env)
        with closing(pipeline) as beside:
            beside.wait_for("3. .* workers", timeout=90)
            beside.signal(signal.SIGINT)
            beside.wait(90)
            everything.wait(90)
            yield Show(everything, beside, folders)


def test_a_fresh_run_says_the_same(show: Show) -> None:
    said = show.all.stdout
    assert show.all.wait() == 0, said + show.all.stderr
    assert "all well" in said
    assert "\x1b[" not in said, "colour in a pipe"
    said = said.replace(str(show.folders[0]), gettempdir())
    assert max(map(len, said.splitlines())) <= 80

    recorded = "".join(path.read_text() for path in RECORDINGS)
    frame = [headline(demo) for demo in DEMOS]
    frame += [summary([Played(demo, 0, 1.5) for demo in DEMOS])]
    assert timeless(said) - timeless("".join(frame)) == {
        line
        for line in timeless(recorded) - timeless("".join(frame))
        if not line.startswith(TYPED)
    }


def test_a_worker_is_killed_and_every_image_is_made_three_times(
    show: Show,
) -> None:
    assert show.all.stdout.count(ALL_MADE) == 3
    assert re.search(
        "worker 1 died; [1-9][0-9]* images were sent again, 0 were lost",
        show.all.stdout,
    )
    gallery = re.search(r"gallery: (.*)", show.all.stdout)
    assert gallery
    page = Path(gallery.group(1))
    assert page.read_text().count("<img src=") == 48
    made_up = list(show.folders[0].glob("*/photographs"))
    assert not made_up, "they are cleaned away"


def test_ctrl_c_ends_a_demo_in_good_order(show: Show) -> None:
    assert show.beside.wait() == 130, show.beside.stderr
    assert show.beside.stdout.count(ALL_MADE) == 1
    assert "Traceback" not in show.beside.stderr
    assert not list(show.folders[1].iterdir())


def test_a_recording_is_what_its_commands_print(tmp_path: Path) -> None:
    recording = tmp_path / "two.txt"
    recording.write_text(
        "$ python -c 'print(1)'\nlong ago\n$ python -c 'print(2)'\n"
    )

    assert record(recording) == (
        "$ python -c 'print(1)'\n1\n$ python -c 'print(2)'\n2\n"
    )


def test_times_ports_and_processes_do_not_count() -> None:
    one = "listens on tcp://127.0.0.1:46343 (pid 12)\nafter   475.3 ms"
    other = "listens on tcp://127.0.0.1:5555 (pid 9)\nafter 1475.3 ms"

    assert timeless(one) == timeless(other)


def test_words_count() -> None:
    assert timeless("all well") != timeless("all lost")


def test_zero_is_not_any_number() -> None:
    assert timeless("0 lost") != timeless("3 lost")


def test_a_dead_worker_may_have_held_no_image() -> None:
    none, three = "0 images were sent again", "3 images were sent again"

    assert timeless(f"{none}, 0 were lost") == timeless(
        f"{three}, 0 were lost"
    )
    assert timeless(f"{none}, 1 was lost") != timeless(f"{none}, 0 were lost")
