"""The command line: what it prints, and what its exit codes mean."""

import base64
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.support import Program

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
