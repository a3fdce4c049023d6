"""Do what the deck tells the speaker to do, before there is an audience.

Every command on a slide or in its notes is typed in the order of the talk,
in a scratch folder for each slide. It must end with exit code 0, and where
the deck shows a recording of it, print the same but for times. What stands
in a block marked `console stays` is left running, as a server is, until the
slide is over; then Ctrl-C must end it with exit code 0. Where two are left
running, the first is ended and started again, and the other must go on.
"""

import os
import queue
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from slides import HERE, ROOT
from slides.deck import CONSOLES, STAYS, Slide
from slides.terminal import TYPED, timeless, typed

COMMAND = re.compile(r"(python -m|make) \w")  # as told in a sentence
LIMIT_S = 600.0
READY_S = 20.0
WAITS = "no answer"  # as pingpong's client says it
# The suite rehearses too, so a rehearsal cannot run the suite.
DRY = {"make test": "make --dry-run test"}


@dataclass(frozen=True)
class Step:
    """A command, and whether it goes on until its slide is over."""

    command: str
    stays: bool


@dataclass(frozen=True)
class Done:
    """How a step went; `fault` is empty when it went as it should."""

    slide: Slide
    step: Step
    seconds: float
    fault: str

    def __str__(self) -> str:
        mark = "fails" if self.fault else "ok"
        line = f"{mark:>5} {self.seconds:6.1f} s  {self.step.command}"
        if self.step.command in DRY:
            line += "  (only a dry run)"
        if not self.fault:
            return line
        return f"{line}\n      {' / '.join(self.slide.titles)}: {self.fault}"


def steps(slide: Slide) -> list[Step]:
    """Return what the slide and its notes say to type, each once."""
    found: dict[str, Step] = {}
    for token in [*slide.body, *slide.notes]:
        if token.type == "fence" and token.info in CONSOLES:
            lines = token.content.splitlines()
        else:
            inline = token.children or []
            lines = [
                TYPED + each.content
                for each in inline
                if each.type == "code_inline" and COMMAND.match(each.content)
            ]
        for line in lines:
            if line.startswith(TYPED):
                command = line.removeprefix(TYPED)
                found.setdefault(command, Step(command, token.info == STAYS))
    return list(found.values())


def rehearse(
    slides: list[Slide],
    environment: Mapping[str, str] | None = None,
    chosen: Callable[[Step], bool] = lambda _: True,
) -> Iterator[Done]:
    """Yield how each chosen step of the talk went, as it ends."""
    for slide in slides:
        with ExitStack() as stage:
            scratch = stage.enter_context(tempfile.TemporaryDirectory())
            left: list[tuple[Step, Running]] = []
            for step in filter(chosen, steps(slide)):
                running = Running(step.command, Path(scratch), environment)
                stage.callback(running.kill)
                if step.stays:
                    fault = running.fault_in_starting()
                    left.append((step, running))
                else:
                    fault = running.fault_in_ending(LIMIT_S)
                yield Done(slide, step, running.seconds, fault)
            if len(left) > 1:
                (step, first), *others = left
                fault = first.fault_in_a_restart([each for _, each in others])
                again = Step(f"{step.command}  (ended, started again)", True)
                yield Done(slide, again, first.seconds, fault)
            for step, running in reversed(left):
                running.process.send_signal(signal.SIGINT)
                fault = running.fault_in_ending(READY_S)
                yield Done(slide, step, running.seconds, fault)


@dataclass
class Running:
    """A command as it runs, from the moment that this object is made."""

    command: str
    folder: Path
    environment: Mapping[str, str] | None

    def __post_init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._began = time.monotonic()
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        command = DRY.get(self.command, self.command)
        argv, env = typed(command, self.environment)
        self.process = subprocess.Popen(
            argv,
            cwd=ROOT if argv[0] == "make" else self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def kill(self) -> None:
        """Kill it and all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def fault_in_starting(self) -> str:
        """Wait for its first line, and say what went wrong, or nothing.

        On a busy machine a client may try again first; that is no answer.
        """
        try:
            first: str | None = WAITS
            while first and first.startswith(WAITS):
                first = self._lines.get(timeout=READY_S)
        except queue.Empty:
            return f"printed nothing within {READY_S:.0f} s"
        return "" if first else f"ended at once: {self.process.wait()}"

    def fault_in_ending(self, patience: float) -> str:
        """Wait for its end, and say what went wrong with it, or nothing."""
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            return f"still running after {patience:.0f} s"
        self._reader.join()
        said = "".join(line or "" for line in self._so_far())
        if code:
            return f"ended with {code}: {said}"
        if "Traceback" in said:
            return f"showed a traceback: {said}"
        shown = recorded(self.command)
        if shown and timeless(shown) != timeless(said):
            return f"prints what the deck does not show: {said}"
        return ""

    def fault_in_a_restart(self, others: "list[Running]") -> str:
        """End it, start it again, and see that the others notice."""
        self.process.send_signal(signal.SIGINT)
        if fault := self.fault_in_ending(READY_S):
            return fault
        self._start()
        if fault := self.fault_in_starting():
            return fault
        for other in others:
            ended = None in other._so_far()
            if fault := "ended" if ended else other.fault_in_starting():
                return f"{other.command} does not go on: {fault}"
        return ""

    def _so_far(self) -> list[str | None]:
        """Return the lines printed so far; None stands for the end."""
        said = []
        while not self._lines.empty():
            said.append(self._lines.get())
        return said

    def _read(self) -> None:
        assert self.process.stdout  # noqa: S101 - asked for above
        with self.process.stdout as pipe:
            for line in pipe:
                self._lines.put(line)
        self._lines.put(None)


def recorded(command: str) -> str:
    """Return what the deck shows of `command`, or nothing."""
    for path in sorted((HERE / "recordings").glob("*.txt")):
        first, _, said = path.read_text(encoding="utf-8").partition("\n")
        if first == TYPED + command and f"\n{TYPED}" not in said:
            return said
    return ""
