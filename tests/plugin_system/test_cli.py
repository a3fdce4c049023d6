"""The command line: what it prints, and what its exit codes mean."""

import base64
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.support import Program

from .test_host_death import wait_for_file
from .test_outcomes import wait_until_gone

pytestmark = pytest.mark.slow

Start = Callable[..., Program]

# `check` starts thirty processes, `demo` six, on a machine that may be busy.
PATIENCE_S = 150.0


def run(start: Start, *argv: str) -> tuple[int, Program]:
    program = start("plugin_system", *argv)
    return program.wait(PATIENCE_S), program


def test_list_shows_name_version_state_methods_and_origin(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "dud.toml").write_text('argv = ["false"]\n')
    code, program = run(start, "list", "--plugins", str(tmp_path))
    assert code == 1  # since one of them does not start
    lines = program.stdout.splitlines()
    assert lines[1].split() == ["text", "1.0", "ready", "count", "common"]
    assert lines[2].split() == ["from", "this", "package"]
    assert f"from {tmp_path}/dud.toml" in program.stdout
    assert "dud: the process ended with exit code 1" in program.stdout


def test_the_help_of_a_command_is_no_error(start: Start) -> None:
    """The trap: click ends it with an exception that is a RuntimeError."""
    code, program = run(start, "list", "--help")
    assert (code, program.stderr) == (0, "")
    assert "Start every plugin" in program.stdout


def test_call_prints_the_result_as_json(start: Start) -> None:
    code, program = run(start, "call", "text", "count", '"to be"')
    assert code == 0
    assert json.loads(program.stdout)["words"] == 2


def test_call_reads_bytes_from_a_file(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.new("RGB", (64, 32)).save(path)
    code, program = run(start, "call", "image", "info", f"@{path}")
    assert code == 0
    assert json.loads(program.stdout) == {
        "format": "PNG",
        "mode": "RGB",
        "width": 64,
        "height": 32,
    }


def test_call_returns_bytes_in_json_as_base64(
    start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    Image.new("RGB", (64, 32)).save(path)
    code, program = run(
        start, "call", "image", "thumbnail", f"@{path}", "16", "--json"
    )
    assert code == 0
    data = base64.b64decode(json.loads(program.stdout)["result"]["base64"])
    with Image.open(BytesIO(data)) as made:
        assert made.size == (16, 8)


@pytest.mark.parametrize(
    ("argv", "code", "sentence"),
    [
        (["chaos", "fail", '"no"'], 1, "Error: chaos: ValueError: no"),
        (["ghost", "x"], 2, "no such plugin; registered: text"),
        (["text", "x"], 2, "it has no method 'x'; it has count, common"),
        (["text", "count", "x y"], 2, "quote it twice: '\"x y\"'"),
        (["text", "count", "@/none"], 2, "@/none: No such file"),
        (["text", "count", "@/dev/zero"], 2, "has more than 67108864 bytes"),
        (["text", "count", 9999 * "["], 2, "is no JSON"),
        (["text", "count", "--tiemout", "1"], 2, "No such option"),
        (["chaos", "crash", "9"], 3, "ended with exit code 9 in crash"),
        (
            ["chaos", "hang", '"asleep"', "--timeout", "2"],
            4,
            "The work may have been done.",
        ),
        (["chaos", "lie", '"noise"'], 5, "is no PluginReply"),
    ],
)
def test_each_failure_is_a_sentence_and_an_exit_code(
    start: Start, argv: list[str], code: int, sentence: str
) -> None:
    found, program = run(start, "call", *argv)
    assert found == code, program.stderr
    assert sentence in program.stderr
    assert "plugin_system/executor.py" not in program.stderr


def test_a_number_below_zero_is_no_option(start: Start) -> None:
    code, program = run(start, "call", "chaos", "echo", "-1.5")
    assert code == 0, program.stderr
    assert program.stdout == "-1.5\n"


def test_a_folder_that_holds_no_sockets_is_a_sentence(
    start: Start, folder: Path
) -> None:
    """The trap: a path that is too long, or a disk that is full."""
    long = folder / ("x" * 100)
    long.mkdir()
    program = start(
        "plugin_system", "list", env={"XDG_RUNTIME_DIR": str(long)}
    )
    assert program.wait(PATIENCE_S) == 1
    assert program.stderr.startswith("Error: ")
    assert "too long a path for sockets" in program.stderr


@pytest.mark.parametrize(
    "argv", ["list", "call image thumbnail @PICTURE", "--help", "call --help"]
)
def test_a_full_disk_behind_stdout_is_a_sentence(
    start: Start, tmp_path: Path, argv: str
) -> None:
    path = tmp_path / "picture.png"
    Image.new("RGB", (64, 32)).save(path)
    program = start(
        "plugin_system",
        *argv.replace("PICTURE", str(path)).split(),
        within=["sh", "-c", 'exec "$@" > /dev/full', "sh"],
    )
    assert program.wait(PATIENCE_S) == 1
    assert program.stderr == "Error: [Errno 28] No space left on device\n"


def test_a_result_that_has_nowhere_to_go_is_not_asked_for(
    start: Start,
) -> None:
    """The trap: Python prints to a closed stdout without a word (`>&-`)."""
    program = start(
        *("plugin_system", "call", "text", "count", '"to be"'),
        within=["sh", "-c", 'exec "$@" >&-', "sh"],
    )
    assert program.wait(PATIENCE_S) == 1
    assert program.stderr.startswith("Error: stdout is closed")


def test_an_exit_code_needs_no_stderr(start: Start) -> None:
    program = start(
        *("plugin_system", "call", "chaos", "crash", "9"),
        within=["sh", "-c", 'exec "$@" 2> /dev/full', "sh"],
    )
    assert program.wait(PATIENCE_S) == 3


def test_ctrl_c_at_the_very_end_shows_no_traceback(start: Start) -> None:
    program = start(
        *(sys.executable, "-c"),
        "import os, signal, threading\n"
        "from plugin_system.__main__ import main\n"
        "def late():\n"
        "    threading.main_thread().join()  # Python waits for threads now\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    threading.Event().wait(60)\n"
        "threading.Thread(target=late).start()\n"
        "main(['list', '--help'])\n",
    )
    assert program.wait(PATIENCE_S) == -signal.SIGINT
    assert program.stderr == ""


def test_how_a_plugin_ended_is_known_though_our_parent_ignores_its_children(
    start: Start,
) -> None:
    """The trap: what is ignored stays so over exec (SIGCHLD, signal(7))."""
    program = start(
        *("plugin_system", "call", "chaos", "crash", '"SIGSEGV"'),
        within=["env", "--ignore-signal=CHLD"],
    )
    assert program.wait(PATIENCE_S) == 3, program.stderr
    assert "ended by SIGSEGV" in program.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_call_leaves_nothing_and_says_130(
    start: Start, folder: Path, number: signal.Signals
) -> None:
    noted = folder / "noted"
    wild = 'target = "tests.plugin_system.more_chaos:plugin"'
    (folder / "wild.toml").write_text(wild)
    program = start(
        *("plugin_system", "call", "wild", "hang_with_a_child"),
        *(json.dumps(str(noted)), "--timeout", "1000"),
        *("--plugins", str(folder)),
        env={"XDG_RUNTIME_DIR": str(folder)},
    )
    wait_for_file(noted)
    deadline = time.monotonic() + PATIENCE_S
    while not (pid := noted.read_text()):  # it is there before its text is
        assert time.monotonic() < deadline
    program.signal(number)
    assert program.wait(PATIENCE_S) == 130
    assert program.stderr == ""
    assert not list(folder.glob("zmq*"))
    wait_until_gone(int(pid))


def call_once(start: Start, folder: Path, plugin: str) -> Program:
    return start(
        *("plugin_system", "call", plugin, "getpid"),
        env={"PLUGIN_FOLDERS": str(folder), "XDG_RUNTIME_DIR": str(folder)},
    )


def test_a_plugin_leaves_also_if_it_is_told_just_before_it_waits(
    start: Start, folder: Path
) -> None:
    """The trap: a signal is noted, and wakes only who waits already."""
    (folder / "late.toml").write_text(
        'argv = ["python", "late.py"]\nleave_timeout = 10'
    )
    (folder / "late.py").write_text(
        "import _thread, os, pathlib, signal\n"
        "from plugin_system.sdk import Plugin\n"
        "signal.pthread_kill = lambda *_: _thread.interrupt_main()\n"
        "plugin = Plugin()\n"
        "plugin.method(os.getpid)\n"
        "plugin.serve()\n"
        "pathlib.Path('left').touch()\n"
    )
    program = call_once(start, folder, "late")
    assert program.wait(PATIENCE_S) == 0, program.stderr
    assert (folder / "left").exists()


def test_an_interruption_while_the_plugins_leave_leaves_nothing_either(
    start: Start, folder: Path
) -> None:
    """The trap: what has to be undone after the wait is never undone."""
    (folder / "stayer.toml").write_text(
        'argv = ["python", "stayer.py"]\nleave_timeout = 10'
    )
    (folder / "stayer.py").write_text(
        "import os, pathlib, signal, time\n"
        "from plugin_system.sdk import Plugin\n"
        "plugin = Plugin()\n"
        "plugin.method(os.getpid)\n"
        "plugin.serve()\n"
        "pathlib.Path('pid').write_text(str(os.getpid()))\n"
        "os.kill(os.getppid(), signal.SIGINT)\n"
        "time.sleep(1000)\n"
    )
    (folder / "pid").touch()
    before = set(folder.iterdir())
    program = call_once(start, folder, "stayer")
    assert program.wait(PATIENCE_S) == 130, program.stderr
    assert set(folder.iterdir()) == before
    wait_until_gone(int((folder / "pid").read_text()))


def test_a_registration_that_check_cannot_use_is_told(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "dud.toml").write_text("argv = [\n")
    code, program = run(start, "check", "dud", "--plugins", str(tmp_path))
    assert code == 2
    assert f"Not used: {tmp_path}/dud.toml: " in program.stderr
    assert "no such plugin: dud" in program.stderr


@pytest.mark.parametrize("command", ["list", "call dud x"])
def test_a_long_sentence_breaks_between_words_on_a_terminal(
    folder: Path, command: str
) -> None:
    words = "a sentence that is much longer than a line of a terminal"
    (folder / "dud.toml").write_text(
        f'argv = ["sh", "-c", "echo {words} >&2; exit 1"]'
    )
    terminal, shown = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "plugin_system", *command.split()],
        env={**os.environ, "PLUGIN_FOLDERS": str(folder), "COLUMNS": "80"},
        stdout=shown,
        stderr=shown,
    ) as program:
        os.close(shown)
        text = ""
        with suppress(OSError):  # EIO is the end of file of a terminal
            while data := os.read(terminal, 65536):
                text += data.decode()
        os.close(terminal)
        assert program.wait(PATIENCE_S) != 0
    assert max(map(len, text.splitlines())) <= 80
    assert f"ready; it said: {words}" in " ".join(text.split())


def test_an_error_in_json_has_all_that_is_known(start: Start) -> None:
    code, program = run(
        start, "call", "chaos", "crash", '"SIGSEGV"', "--json"
    )
    assert code == 3
    error = json.loads(program.stdout)["error"]
    assert error["kind"] == "PluginCrashed"
    assert error["signal_name"] == "SIGSEGV"
    assert error["maybe_done"] is True


@pytest.mark.timeout(180)
def test_check_finds_all_faults_of_chaos(start: Start) -> None:
    code, program = run(start, "check", "--json")
    rows = json.loads(program.stdout)
    assert code == 0, rows
    assert len(rows) >= 25
    assert all(row["good"] for row in rows)
    assert all(row["after_ms"] > 0 for row in rows)


def test_check_hurts_a_plugin_that_does_not_hurt_itself(
    start: Start,
) -> None:
    code, program = run(start, "check", "text")
    assert code == 0, program.stdout
    assert "3 faults, 3 as expected." in program.stdout
    assert max(map(len, program.stdout.splitlines())) <= 80


@pytest.mark.timeout(180)
def test_the_demo_fits_on_a_projector_and_may_run_twice_at_once(
    start: Start,
) -> None:
    demos = [start("plugin_system", "demo") for _ in range(2)]
    for demo in demos:
        assert demo.wait(PATIENCE_S) == 0, demo.stderr
        lines = demo.stdout.splitlines()
        assert len(lines) <= 24
        assert max(map(len, lines)) <= 80
        assert "\x1b" not in demo.stdout
        for seen in ("PluginCrashed", "PluginTimeout", "PluginProtocolErr"):
            assert seen in demo.stdout
        assert demo.stdout.count("here I am") == 3
