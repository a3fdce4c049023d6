"""What a terminal shows on a slide is what the command really prints."""

from collections.abc import Callable
from pathlib import Path

import pytest

from slides import HERE
from slides.demos import DEMOS, Played, headline, summary
from slides.record import TYPED, record, timeless
from tests.support import Program

RECORDINGS = sorted((HERE / "recordings").glob("*.txt"))


@pytest.mark.timeout(180)
def test_a_fresh_run_says_the_same(start: Callable[..., Program]) -> None:
    # Two shows at once: neither may take a port or a path from the other.
    shows = [start("slides", "demo") for _ in range(2)]
    for show in shows:
        assert show.wait(150) == 0, show.stdout + show.stderr
        assert "all well" in show.stdout
        assert "\x1b[" not in show.stdout, "colour in a pipe"
        assert max(map(len, show.stdout.splitlines())) <= 80

        recorded = "".join(path.read_text() for path in RECORDINGS)
        frame = [headline(demo) for demo in DEMOS]
        frame += [summary([Played(demo, 0, 1.5) for demo in DEMOS])]
        assert timeless(show.stdout) - timeless("".join(frame)) == {
            line
            for line in timeless(recorded) - timeless("".join(frame))
            if not line.startswith(TYPED)
        }


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
