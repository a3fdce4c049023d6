"""Arguments and surroundings that cannot be used, each with a sentence."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.image_pipeline.stage import endpoints_of_our_own, make_photos
from tests.support import PATIENCE_S, ROOT, Program

pytestmark = pytest.mark.slow

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
    # A shell says 130 of both. CPython ends by the signal itself where the
    # interruption met an exec, as a dataclass has that is being imported.
    assert program.wait() in (130, -signal.SIGINT)
    assert "KeyboardInterrupt" not in program.stderr
    assert "Aborted" not in program.stderr


def test_an_interrupted_demo_leaves_nothing_behind(
    tmp_path: Path, start: Start
) -> None:
    program = start("image_pipeline", "demo", env={"TMPDIR": str(tmp_path)})
    program.wait_for("^1")
    program.signal(signal.SIGINT)
    assert program.wait() == 130
    assert list(tmp_path.iterdir()) == []


def run_in_shell(
    script: str, *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """Run the command line as the "$@" of a script of sh."""
    python = [sys.executable, "-W", "error", "-m", "image_pipeline"]
    return subprocess.run(
        ["sh", "-c", script, "sh", *python, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=PATIENCE_S,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_descriptor_costs_no_thumbnail(
    source: Path, target: Path, closed: str
) -> None:
    done = run_in_shell(
        f'exec "$@" {closed}', "run", str(source), str(target)
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert (target / "000.jpg").exists()


@pytest.mark.parametrize("words", ["run --help", "run SRC DST --dry-run"])
def test_an_answer_that_cannot_be_written_is_told_in_one_sentence(
    source: Path, target: Path, words: str
) -> None:
    words = words.replace("SRC", str(source)).replace("DST", str(target))
    done = run_in_shell('exec "$@" > /dev/full', *words.split(" "))
    assert done.returncode == 3
    assert done.stderr == "cannot go on: No space left on device\n"


@pytest.mark.parametrize("into", ["> /dev/full", "| true"])
def test_no_role_needs_anybody_who_reads_what_it_says(
    source: Path, target: Path, into: str
) -> None:
    tasks, results, receipts = endpoints_of_our_own()
    ends = (
        f"--tasks {tasks} --results {results}",
        f"--results {results} --receipts {receipts}",
        f"--tasks {tasks} --results {results} --receipts {receipts}",
    )
    done = run_in_shell(
        f"""exec 3>&1
        {{ "$@" worker --once {ends[0]} || echo failed >&3; }} {into} &
        {{ "$@" sink --once {target} {ends[1]} || echo failed >&3; }} {into} &
        {{ "$@" ventilator {source} {ends[2]} || echo failed >&3; }} {into}
        wait"""
    )
    assert done.stdout == done.stderr == ""
    assert (target / "000.jpg").exists()


LONG = "x" * 300
TASKS = ("--tasks", "tcp://127.0.0.1:*")
RESULTS = ("--results", "tcp://127.0.0.1:*")
RECEIPTS = ("--receipts", "tcp://127.0.0.1:*")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("run SRC DST --max-pixels 18446744073709551616", 2, "--max-pixels"),
        ("run SRC LOOP", 3, "cannot write to"),
        (f"run SRC EMPTY/{LONG} --gallery", 3, "File name too long"),
        (f"run SRC EMPTY/{LONG} --dry-run", 0, "1 would be tried"),
        ("run SRC DST --files-from /proc/self/mem", 2, "/proc/self/mem"),
        ("run SRC DST --scheduler here", 3, "no Dask scheduler answers"),
        ("worker --tasks here", 3, "cannot connect to here: Invalid arg"),
        ("worker --tasks \udcff", 3, "cannot connect to"),
        ("worker --tasks tcp://127.0.0.1:99999", 3, "does not end in a port"),
        ("worker --tasks tcp://127.0.0.1:5x5", 3, "does not end in a port"),
        ("worker --name \udcff", 2, "--name"),
        (f"worker --name {LONG * 7}", 2, "--name"),
        (
            f"ventilator SRC --results here {' '.join(TASKS + RECEIPTS)}",
            3,
            "cannot connect to here: Invalid argument",
        ),
        (
            f"sink DST --results tcp://127.0.0.1:x {' '.join(RECEIPTS)}",
            3,
            "cannot bind to tcp://127.0.0.1:x: it does not end in a port",
        ),
    ],
)
def test_what_cannot_be_used_is_named_in_one_sentence(
    source: Path,
    target: Path,
    tmp_path: Path,
    start: Start,
    words: str,
    code: int,
    sentence: str,
) -> None:
    loop, empty = tmp_path / "loop", tmp_path / "empty"
    loop.symlink_to("loop")
    empty.mkdir()
    for word, path in (
        ("SRC", source),
        ("DST", target),
        ("LOOP", loop),
        ("EMPTY", empty),
    ):
        words = words.replace(word, str(path))
    program = start("image_pipeline", *words.split(" "))
    assert program.wait() == code
    said = program.stdout + program.stderr
    assert sentence in said
    assert "Traceback" not in said


@pytest.mark.parametrize("role", ["ventilator", "worker", "sink"])
def test_a_host_that_nobody_knows_is_named_at_once(
    source: Path, target: Path, start: Start, role: str
) -> None:
    """The trap: libzmq looks for it for ever, and says nothing."""
    unknown = "tcp://no-such-host.invalid:5557"
    words = {
        "ventilator": (str(source), "--results", unknown, *TASKS, *RECEIPTS),
        "worker": ("--tasks", unknown),
        "sink": (str(target), "--receipts", unknown, *RESULTS),
    }[role]
    program = start("image_pipeline", role, *words)
    program.wait_for_stderr(f"{unknown}: .*; trying on")
    program.signal(signal.SIGINT)
    assert program.wait() in (0, 130)


def test_a_folder_that_no_ipc_socket_fits_into_is_named(
    source: Path, target: Path, tmp_path: Path, start: Start
) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    program = start(
        *("image_pipeline", "run", str(source), str(target)),
        *("--transport", "ipc"),
        env={"TMPDIR": str(folder)},
    )
    assert program.wait() == 3
    assert f"cannot bind to ipc://{folder}" in program.stderr
    assert "Traceback" not in program.stderr


@pytest.mark.parametrize("transport", ["tcp", "inproc"])
@pytest.mark.parametrize(
    ("limit", "code"), [("-S", 0), ("-H", 3)], ids=["soft", "hard"]
)
def test_few_open_files_are_made_more_or_named(
    source: Path, target: Path, transport: str, limit: str, code: int
) -> None:
    """The trap: libzmq aborts the process when it gets no descriptor."""
    done = run_in_shell(
        f'ulimit -S -n 48; test {limit} = -S || ulimit -n 48; exec "$@"',
        *("run", str(source), str(target)),
        *("--transport", transport, "--workers", "8"),
    )
    assert done.returncode == code, done.stderr
    assert ("8 workers need" in done.stderr) == bool(code)
    assert "Traceback" not in done.stderr


def test_a_line_break_in_the_name_of_the_temporary_folder_is_no_trouble(
    source: Path, target: Path, start: Start
) -> None:
    with TemporaryDirectory(prefix="\n") as folder:  # a short name, for ipc
        program = start(
            *("image_pipeline", "run", str(source), str(target)),
            *("--transport", "ipc"),
            env={"TMPDIR": folder},
        )
        assert program.wait() == 0


def test_a_terminal_that_knows_ascii_only_hears_of_every_name(
    source: Path, target: Path, start: Start
) -> None:
    (source / "n\u00e9.jpg").write_bytes(b"no image")
    program = start(
        *("image_pipeline", "run", str(source), str(target)),
        env={
            "LC_ALL": "C",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONUTF8": "0",
        },
    )
    assert program.wait() == 1
    assert "1 made, 0 current, 0 skipped, 1 failed" in program.stdout
    assert "Traceback" not in program.stderr
