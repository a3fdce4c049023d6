"""The deck's command line: sentences, exit codes, and nothing left behind."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import Program

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("argv", "code", "sentence"),
    [
        (["build", "--out", "FILE/x"], 1, "Cannot write .*Not a directory"),
        (["record", "nothing"], 1, "Cannot record nothing: .*No such file"),
        (["serve", "--port", "65536"], 2, "Invalid value for '--port'"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    start: Callable[..., Program],
    tmp_path: Path,
    argv: list[str],
    code: int,
    sentence: str,
) -> None:
    file = tmp_path / "file"
    file.touch()
    argv = [word.replace("FILE", str(file)) for word in argv]
    program = start("slides", *argv, cwd=tmp_path)

    assert program.wait() == code
    program.wait_for_stderr(sentence)
    assert "Traceback" not in program.stderr


def test_the_served_deck_leaves_no_folder_behind(
    start: Callable[..., Program], tmp_path: Path
) -> None:
    here = {"TMPDIR": str(tmp_path)}
    serve = start("slides", "serve", "--port", "0", env=here)
    serve.wait_for("Serving")
    assert list(tmp_path.iterdir())
    serve.signal(signal.SIGTERM)

    assert serve.wait() == 143, serve.stderr
    assert not list(tmp_path.iterdir())


def test_no_demo_outlives_the_show(start: Callable[..., Program]) -> None:
    show = start("slides", "demo")
    server = int(show.wait_for(r"server (\d+) listens")[1])
    show.signal(signal.SIGTERM)

    assert show.wait() == 143, show.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)


def test_a_rehearsal_that_is_interrupted_says_so(
    start: Callable[..., Program], tmp_path: Path
) -> None:
    here = f"ipc://{tmp_path}/pingpong"
    environment = {
        "PINGPONG_SERVER_BIND": here,
        "PINGPONG_CLIENT_CONNECT": here,
    }
    rehearsal = start("slides", "rehearse", env=environment)
    rehearsal.wait_for("ok .*pingpong server")
    rehearsal.signal(signal.SIGINT)

    assert rehearsal.wait() == 130
    # Python may warn of the file of a process that it was about to start.
    assert "Interrupted." in rehearsal.stderr.splitlines()
