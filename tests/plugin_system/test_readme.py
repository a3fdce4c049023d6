"""The README of the plugins: what it shows runs, what it names exists."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from plugin_system.registry import read
from tests.support import ROOT

README = (ROOT / "plugin_system" / "README.md").read_text()
# A block is indented, and may have empty lines within.
BLOCKS = [
    re.sub("(?m)^    ", "", each)
    for each in re.findall(r"(?m)(?:^    .*\n(?:\n(?=    ))?)+", README)
]


def block(begins: str) -> str:
    (found,) = (each for each in BLOCKS if each.startswith(begins))
    return found


@pytest.fixture
def typed(tmp_path: Path) -> Path:
    """The folder of a reader who did as the README says."""
    folder = tmp_path / "FOLDER"
    folder.mkdir()
    plugin = block("from plugin_system import Plugin")
    (folder / "greeter.py").write_text(plugin)
    (folder / "greeter.toml").write_text(block('argv = ["python", "greeter'))
    return tmp_path


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_runs_as_typed(typed: Path) -> None:
    command = block("python -m plugin_system call --plugins")
    assert run(typed, "sh", "-c", command) == "Hello, you!\n"


def test_the_program_runs_as_typed(typed: Path) -> None:
    program = block("from plugin_system import Executor")
    assert run(typed, "python", "-c", program) == "Hello, you!\n"


def test_the_program_for_asyncio_runs_as_typed(typed: Path) -> None:
    program = block("import asyncio") + (
        "from plugin_system import Executor, discover\n"
        "with Executor(discover(['FOLDER'])[0].values()) as executor:\n"
        "    asyncio.run(main(executor))\n"
    )
    assert run(typed, "python", "-c", program) == "Hello, you!\n"


def test_the_options_of_a_registration_are_ones(typed: Path) -> None:
    path = typed / "FOLDER" / "greeter.toml"
    path.write_text(path.read_text() + block("start_timeout"))
    made = read(path)
    assert made.env == {"GREETING": "Hello"}
    assert made.pass_env == ("SSL_CERT_FILE",)
    assert made.limits["RLIMIT_NOFILE"] == 64


def test_the_sandbox_is_a_registration(typed: Path) -> None:
    path = typed / "FOLDER" / "greeter.toml"
    path.write_text(block('argv = ["bwrap"'))
    assert read(path).argv[-1] == "greeter.py"


def test_each_test_that_it_names_is_one() -> None:
    names = re.findall(r"`(test_\w+)`", README)
    files = Path(__file__).parent.glob("test_*.py")
    tests = "".join(path.read_text() for path in files)
    assert names
    assert not [name for name in names if f"def {name}(" not in tests]
