"""Commands as a room sees them: recorded for the deck, or played as demos.

A recording is a text file: `$ ` and a command, then what it printed. Two
recordings of a command differ in times, ports and process numbers only;
`timeless` takes these out. A demo prints straight to the terminal and says
by its exit code whether it went well.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from slides import ROOT, DeckError

LONGEST_S = 120  # a demo takes 5 to 15 s
TYPED = "$ "

VOLATILE = [
    (r"(/tmp|/run|/var)/[^\s:]+", "PATH"),
    (r"(tcp://[\w.]+):\d+", r"\1:PORT"),
    (r"\bpid \d+", "pid N"),
    # A dead worker leaves the room any number of images, or none.
    (r"\b\d+(?= images were sent again)", "N"),
    (r"(?<![.\d])(?!0(?![.\d]))\d+(\.\d+)?", "N"),  # but 0 is 0
    (r"[ \t]+", " "),
]


def record(recording: Path) -> str:
    """Run the commands of `recording`, each in a folder of its own.

    Returns what it would say now. Raises `DeckError` when a command fails.
    """
    lines = recording.read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line.startswith(TYPED)]
    return "".join(
        f"{command}\n{_run(command.removeprefix(TYPED))}"
        for command in commands
    )


def timeless(text: str) -> set[str]:
    """Return the lines of `text` without what differs between two runs.

    Processes that run side by side speak in any order and some of them
    twice, so neither the order nor the number of equal lines counts.
    """
    for pattern, name in VOLATILE:
        text = re.sub(pattern, name, text)
    return set(text.splitlines())


def typed(
    command: str, environment: Mapping[str, str] | None = None
) -> tuple[list[str], dict[str, str]]:
    """Return the argv and the environment of a command that was typed.

    It finds the packages from any folder, its `python` is the one that runs
    this, and it prints what a slide can show: 80 columns, without colour.
    """
    argv = shlex.split(command)
    if argv[0] == "python":
        argv[0] = sys.executable
    return argv, {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "80",
        "NO_COLOR": "1",
        **(environment or {}),
    }


def _run(command: str) -> str:
    if not command.startswith("python "):
        raise DeckError(f"A recording runs python, not {command}.")
    argv, env = typed(command)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            ended = subprocess.run(
                argv,
                cwd=scratch,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=LONGEST_S,
            )
        except subprocess.TimeoutExpired:
            raise DeckError(
                f"`{command}` was not done after {LONGEST_S} s."
            ) from None
    if ended.returncode:
        raise DeckError(
            f"`{command}` ended with {ended.returncode}: {ended.stdout}"
        )
    return ended.stdout


# -- the demos, in the order of the talk ------------------------------

GRACE_S = 5.0


@dataclass(frozen=True)
class Demo:
    """One example's demo: its package and what the room is about to see."""

    package: str
    pattern: str
    watch: str

    @property
    def command(self) -> str:
        return f"python -m {self.package} demo"


DEMOS = (
    Demo(
        "pingpong",
        "REQ/REP over tcp",
        "Three clients ask, the server is killed, and no answer is lost.",
    ),
    Demo(
        "image_pipeline",
        "PUSH/PULL over tcp, then inproc",
        "Workers share 48 photographs, one is killed, every image is made.",
    ),
    Demo(
        "plugin_system",
        "REQ/REP over ipc",
        "Plugins crash, hang and lie, and their host answers each time.",
    ),
)


@dataclass(frozen=True)
class Played:
    """How a demo ended; `exit_code` is None where it had to be stopped."""

    demo: Demo
    exit_code: int | None
    seconds: float

    @property
    def well(self) -> bool:
        return self.exit_code == 0

    @property
    def verdict(self) -> str:
        if self.exit_code is None:
            return f"stopped: not done after {self.seconds:.0f} s"
        if self.exit_code < 0:
            return f"killed by {signal.Signals(-self.exit_code).name}"
        return "all well" if self.well else f"failed, exit {self.exit_code}"


def play(demo: Demo, limit: float = LONGEST_S) -> Played:
    """Run one demo to its end, for at most `limit` seconds.

    Ctrl-C reaches the demo by way of the terminal; this waits for it to
    finish its clean-up and passes KeyboardInterrupt on.
    """
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", demo.package, "demo"])
    code: int | None = None
    try:
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(limit)
    except KeyboardInterrupt:
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
        raise
    finally:
        end(process)
    return Played(demo, code, time.monotonic() - began)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Leave no process behind: ask, then insist."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(GRACE_S)


def headline(demo: Demo) -> str:
    """Two lines that tell the room what comes next."""
    rule = "=" * (74 - len(demo.command) - len(demo.pattern))
    return f"\n$ {demo.command}  {rule} {demo.pattern}\n  {demo.watch}\n"


def summary(played: list[Played]) -> str:
    """Return how each of them ended."""
    rows = [
        f"  {each.demo.package:<16}{each.seconds:5.1f} s  {each.verdict}"
        for each in played
    ]
    total = sum(each.seconds for each in played)
    well = "all well" if all(e.well for e in played) else "NOT all well"
    return "\n".join(["", *rows, f"  {'together':<16}{total:5.1f} s  {well}"])
