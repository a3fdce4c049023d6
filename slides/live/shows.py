"""Starts the process of a show, keeps what it tells, and ends it.

The events of a show are kept until it starts again, and each page gets them
from the first one on: a page that is opened late misses nothing.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Any

from slides import ROOT

END_S = 5.0
TICK_S = 0.2
COMMANDS = {
    "ping": ("slides.live.ping",),
    "plugins": ("slides.live.plugins",),
    "marks": ("slides.live.marks",),
    "news": ("slides.live.news",),
    "pipeline-tcp": ("slides.live.pipeline", "tcp"),
    "pipeline-inproc": ("slides.live.pipeline", "inproc"),
}

Event = dict[str, Any]


@dataclass(frozen=True)
class News:
    """What happened in a show since somebody looked."""

    run: int  # 0: it was never started
    now: float  # seconds since this run began
    events: Sequence[Event]


class Show:
    """One show: no process at first, then one at most."""

    def __init__(self, *module: str) -> None:
        self._argv = [sys.executable, "-m", *module]
        self._process: subprocess.Popen[str] | None = None
        self._changed = Condition()
        self._events: list[Event] = []
        self._run = 0
        self._began = 0.0

    def start(self) -> None:
        """Start the show from the beginning; an earlier run ends first."""
        with self._changed:
            self.end()
            self._process = subprocess.Popen(
                self._argv,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._run += 1
            self._events = []
            self._began = time.monotonic()
            Thread(
                target=self._listen,
                args=(self._process, self._events),
                daemon=True,
            ).start()
            self._changed.notify_all()

    def tell(self, command: str) -> None:
        """Pass a command on; nobody hears it when no run is on."""
        process = self._process
        if process and process.stdin:
            with suppress(OSError, ValueError):
                print(command, file=process.stdin, flush=True)

    def workers(self) -> set[str]:
        """Name those who are alive, as the show has told last."""
        with self._changed:
            told = [e for e in self._events if e["kind"] in ("crew", "over")]
        return set(told[-1].get("workers", ())) if told else set()

    def since(self, run: int, seen: int, patience: float) -> News:
        """Return what is new to one who has `seen` so many of `run`."""
        with self._changed:
            self._changed.wait_for(
                lambda: run != self._run or seen < len(self._events),
                patience,
            )
            return News(
                self._run,
                round(time.monotonic() - self._began, 3),
                self._events[seen if run == self._run else 0 :],
            )

    def follow(self, longest: float) -> Iterator[Event]:
        """Yield each event of this run, to its last; not for ever."""
        ends = time.monotonic() + longest
        seen = 0
        while self._process and time.monotonic() < ends:
            is_over = self._process.poll() is not None
            news = self.since(self._run, seen, TICK_S)
            yield from news.events
            seen += len(news.events)
            if is_over and not news.events:
                return

    def end(self) -> None:
        """End its process, which ends all that it has started."""
        process, self._process = self._process, None
        if not process:
            return
        with suppress(OSError):
            if process.stdin:
                process.stdin.close()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _listen(
        self, process: "subprocess.Popen[str]", events: list[Event]
    ) -> None:
        with process:
            for line in process.stdout or ():
                with self._changed:
                    if not events:  # now its clock starts
                        self._began = time.monotonic()
                    events.append(json.loads(line))
                    self._changed.notify_all()
