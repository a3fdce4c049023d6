"""What others may have put into source and target: no run hangs over it.

Each case ends in time, with an exit code of ours and in a sentence; nothing
outside the target is written to.
"""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.image_pipeline.stage import PHOTO
from tests.support import Program

Start = Callable[..., Program]
Put = Callable[[Path, Path], object]
PRECIOUS = b"not to be touched"


def a_pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path, _: Path) -> None:
    (path / "full").mkdir(parents=True)


def a_socket(path: Path, _: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)


def a_link(path: Path, precious: Path) -> None:
    path.symlink_to(precious)


def a_link_to_a_pipe(path: Path, precious: Path) -> None:
    os.mkfifo(precious.with_name("pipe"))
    path.symlink_to(precious.with_name("pipe"))


def a_link_to_nowhere(path: Path, precious: Path) -> None:
    path.symlink_to(precious.with_name("nowhere"))


def a_link_to_itself(path: Path, _: Path) -> None:
    path.symlink_to(path.name)


def a_link_to_a_folder(path: Path, precious: Path) -> None:
    path.symlink_to(precious.parent)


def a_link_to_a_device(path: Path, _: Path) -> None:
    path.symlink_to("/dev/zero")


def a_link_to_a_terminal(path: Path, _: Path) -> None:
    path.symlink_to("/dev/tty")


IN_A_SOURCE: list[Put] = [
    a_pipe,
    a_socket,
    a_link,
    a_link_to_a_pipe,
    a_link_to_nowhere,
    a_link_to_itself,
    a_link_to_a_folder,
    a_link_to_a_device,
    a_link_to_a_terminal,
]
OURS: list[Put] = [a_pipe, a_folder, a_link, a_link_to_a_device]
FOLDERS: list[Put] = [a_pipe, a_socket, a_link_to_a_pipe, a_link_to_itself]
SHOWN: list[Put] = [
    a_pipe,
    a_link,
    a_link_to_a_pipe,
    a_link_to_nowhere,
    a_link_to_a_terminal,
]
CASES: dict[str, list[Put]] = {
    "thumbs/.image_pipeline/lock": OURS,
    "thumbs/.image_pipeline/journal": OURS,
    "thumbs/.image_pipeline/1.tmp": OURS,
    "thumbs/.image_pipeline": [*FOLDERS, a_link_to_a_folder],
    "thumbs": FOLDERS,
    "thumbs/a.jpg": SHOWN,
    "thumbs/index.html": SHOWN,
    "report": SHOWN,
}
DRY = ("--dry-run",)


@pytest.fixture
def run(tmp_path: Path, start: Start) -> Callable[..., Program]:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(PHOTO)
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "precious").write_bytes(PRECIOUS)

    def make(*options: str) -> Program:
        program = start(
            *("image_pipeline", "run", str(photos)),
            *(str(tmp_path / "thumbs"), "--transport", "inproc", "-j", "1"),
            *options,
        )
        code = program.wait()
        said = program.stderr if code else program.stdout
        assert code in (0, 1, 2, 3), said
        assert said.strip()
        assert "Traceback" not in program.stderr
        assert [each.name for each in (tmp_path / "private").iterdir()] in (
            ["precious"],
            ["pipe", "precious"],
            ["precious", "pipe"],
        )
        precious = tmp_path / "private" / "precious"
        assert precious.read_bytes() == PRECIOUS
        return program

    return make


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "thing"),
    [(place, thing) for place, things in CASES.items() for thing in things],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_stands_in_the_way_of_a_target_ends_in_a_sentence(
    run: Callable[..., Program], tmp_path: Path, place: str, thing: Put
) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    thing(path, tmp_path / "private" / "precious")
    run("--gallery", "--report", str(tmp_path / "report"))


@pytest.mark.parametrize("option", [(), ("--no-follow",), DRY])
def test_what_stands_in_a_source_costs_no_photograph(
    run: Callable[..., Program], tmp_path: Path, option: tuple[str, ...]
) -> None:
    photos, precious = tmp_path / "photos", tmp_path / "private" / "precious"
    for number, thing in enumerate(IN_A_SOURCE):
        thing(photos / f"{number}.jpg", precious)
    deep = os.open(photos, os.O_RDONLY)
    for _ in range(30):  # deeper than a path may be long
        os.mkdir("d" * 200, dir_fd=deep)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    said = run(*option).stdout
    assert ("a.jpg -> a.jpg" if option == DRY else "1 made") in said


@pytest.mark.parametrize("thing", [a_pipe, a_link_to_a_device])
def test_a_dry_run_reads_no_journal_that_has_no_end(
    run: Callable[..., Program], tmp_path: Path, thing: Put
) -> None:
    journal = tmp_path / "thumbs" / ".image_pipeline" / "journal"
    journal.parent.mkdir(parents=True)
    thing(journal, tmp_path / "private" / "precious")
    if thing is not a_pipe:
        assert run(*DRY).stderr.startswith("cannot go on: ")
        return
    writer = os.open(journal, os.O_RDWR)  # it says nothing and never ends
    try:
        assert "no regular file" in run(*DRY).stderr
    finally:
        os.close(writer)
