"""`make demo`: the three demos in the talk's order, and how they went."""

import pytest

from slides.terminal import DEMOS, Demo, play


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
