"""Keep what the commands really printed, and tell when they print otherwise.

A recording is a text file: `$ ` and a command, then what it printed, and so
on. Running it again gives another one that differs in times, ports and
process numbers only; `timeless` takes these out, so that the two can be
compared.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from slides import ROOT, DeckError
from slides.live.shows import COMMANDS, Event, Show

LONGEST_S = 120
KILL_AFTER = 12  # results, in a show
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


def record_show(name: str) -> str:
    """Play a show and kill a worker in it; return the trace as JSON.

    Raises `DeckError` when the run does not come to its end.
    """
    show = Show(*COMMANDS[name])
    show.start()
    events: list[Event] = []
    is_killed = False
    try:
        for event in show.follow(LONGEST_S):
            events.append(event)
            made = sum(each["kind"] == "made" for each in events)
            if made >= KILL_AFTER and event["kind"] == "started":
                if not is_killed:
                    show.tell(f"kill {event['worker']}")
                is_killed = True
    finally:
        show.end()
    if not events or events[-1]["kind"] != "over":
        raise DeckError(f"The show {name} did not come to its end.")
    today = datetime.now(UTC).date().isoformat()
    rows = ",\n".join(json.dumps(event) for event in events)
    return f'{{"recorded": "{today}", "events": [\n{rows}\n]}}\n'
