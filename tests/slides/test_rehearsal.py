"""What the deck tells the speaker to type can be typed."""

import re
from pathlib import Path

import pytest

from slides import DECK
from slides.deck import Slide, read
from slides.rehearse import Done, Step, rehearse, steps

pytestmark = pytest.mark.slow

# What looks like a command in a text: after a prompt or in backquotes.
COMMAND = re.compile(r"(?:^\$ |`)((?:python -m|make) [^`\n]+)", re.MULTILINE)
# These are run by tests of their own, and take their time.
ELSEWHERE = re.compile(r" demo$|slides bench |^make ")


def deck_of(folder: Path, text: str) -> list[Slide]:
    path = folder / "deck.md"
    heading = (
        "# Talk\n\n## One idea\n\n<!-- time: 30; unproved: a test -->\n\n"
    )
    path.write_text(heading + text)
    return read(path)


def faults(done: list[Done]) -> list[str]:
    return [each.fault for each in done if each.fault]


def test_every_command_in_the_deck_is_rehearsed() -> None:
    told = set(COMMAND.findall(DECK.read_text()))
    rehearsed = {
        step.command for slide in read(DECK) for step in steps(slide)
    }
    assert told
    assert told == rehearsed


@pytest.mark.timeout(120)
def test_the_speaker_can_type_what_the_deck_says(tmp_path: Path) -> None:
    here = f"ipc://{tmp_path}/pingpong"
    environment = {
        "PINGPONG_SERVER_BIND": here,
        "PINGPONG_CLIENT_CONNECT": here,
    }

    def is_quick(step: Step) -> bool:
        return not ELSEWHERE.search(step.command)

    done = list(rehearse(read(DECK), environment, is_quick))
    assert any(each.step.stays for each in done)
    assert not faults(done)


def test_a_command_that_fails_is_told(tmp_path: Path) -> None:
    deck = deck_of(tmp_path, "```console\n$ python -m pingpong sing\n```\n")
    (fault,) = faults(list(rehearse(deck)))
    assert fault.startswith("ended with 2:")


def test_a_dry_run_is_called_one(tmp_path: Path) -> None:
    deck = deck_of(tmp_path, "Hello.\n\nNotes:\n\nType `make test`.")
    (done,) = rehearse(deck)
    assert "only a dry run" in str(done)


def test_a_command_in_the_notes_counts_too(tmp_path: Path) -> None:
    deck = deck_of(tmp_path, "Hello.\n\nNotes:\n\nType `make no-such-thing`.")
    (fault,) = faults(list(rehearse(deck)))
    assert "no-such-thing" in fault


def test_a_server_that_ends_at_once_is_told(tmp_path: Path) -> None:
    text = (
        "```console stays\n$ python -m pingpong server --bind nonsense\n```"
    )
    assert faults(list(rehearse(deck_of(tmp_path, text))))


def test_a_client_outlives_the_server_that_the_rehearsal_ends(
    tmp_path: Path,
) -> None:
    here = f"ipc://{tmp_path}/a"
    serve = f"python -m pingpong server --bind {here}"
    ask = f"python -m pingpong client --connect {here} --count 0"
    text = "```console stays\n$ {}\n```\n\n```console stays\n$ {}\n```\n"

    done = list(rehearse(deck_of(tmp_path, text.format(serve, ask))))
    assert not faults(done)
    assert any("started again" in str(each) for each in done)

    done = list(
        rehearse(
            deck_of(tmp_path, text.format(serve, "python -m pingpong --help"))
        )
    )
    assert any("does not go on" in fault for fault in faults(done))


def test_output_that_is_not_what_the_slide_shows_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "```console\n$ python -m plugin_system list\n```\n"
    deck = deck_of(tmp_path, text)
    monkeypatch.setattr("slides.rehearse.recorded", lambda _: "two plugins\n")
    (fault,) = faults(list(rehearse(deck)))
    assert fault.startswith("prints what the deck does not show:")
