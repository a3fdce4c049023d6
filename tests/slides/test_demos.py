"""`make demo`: the three demos in the talk's order, and how they went."""

from collections.abc import Callable

import pytest

from slides.demos import DEMOS, Demo, play
from tests.support import Program


def test_the_demos_stand_in_the_order_of_the_talk() -> None:
    packages = [demo.package for demo in DEMOS]
    assert packages == ["pingpong", "image_pipeline", "plugin_system"]


def test_a_demo_that_cannot_run_is_seen_to_have_failed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    played = play(Demo("no_such_package", "none", "nothing"))
    assert not played.well
    assert played.verdict == "failed, exit 1"
    assert "no_such_package" in capfd.readouterr().err


def test_a_demo_that_never_ends_is_stopped() -> None:
    played = play(Demo("tests.slides.endless", "none", "nothing"), limit=1)
    assert not played.well
    assert played.verdict.startswith("stopped: not done after")


@pytest.mark.timeout(180)
def test_two_shows_at_once_go_well_and_speak_plainly_when_piped(
    start: Callable[..., Program],
) -> None:
    shows = [start("slides", "demo") for _ in range(2)]
    for show in shows:
        assert show.wait(150) == 0, show.stdout + show.stderr
        for demo in DEMOS:
            assert f"{demo.package}" in show.stdout
        assert "all well" in show.stdout
        assert "\x1b[" not in show.stdout, "colour in a pipe"
        assert max(map(len, show.stdout.splitlines())) <= 80
