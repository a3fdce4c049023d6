"""What every show's process does: one line for each event, and it obeys.

Each line on stdout is one event, as JSON: `t` in seconds since the start,
`kind`, and more. A line on stdin, VERB NAME, is a click on what is called
NAME. The end of stdin, or Ctrl-C, ends everything at once, so that nothing
outlives the server. All shows tell the same frame around their own events:

    begin    total
    crew     workers: what can be clicked now, each with its pid or 0
    over     made, again, lost
"""

import json
import os
import queue
import signal
import sys
import time
from contextlib import suppress
from threading import Lock, Thread
from typing import Any


class Play:
    """One run of a show; `play` tells what happens in it, to its end.

    The names that are clicked wait in `clicks`, and "" stands for the end. A
    show that obeys at once overrides `click`.
    """

    def __init__(self) -> None:
        self.clicks: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._began = time.monotonic()
        self._one_at_a_time = Lock()

    def tell(self, kind: str, **more: Any) -> None:
        with self._one_at_a_time, suppress(BrokenPipeError):
            t = round(time.monotonic() - self._began, 3)
            print(json.dumps({"t": t, "kind": kind, **more}), flush=True)

    def play(self) -> None:
        raise NotImplementedError

    def click(self, verb: str, name: str) -> None:
        self.clicks.put("" if verb == "end" else name)

    def end(self) -> None:
        """Kill what does not die with this process."""

    def run(self) -> None:
        def leave(*_: object) -> None:
            self.end()
            os._exit(0)

        def obey() -> None:
            for line in sys.stdin:
                self.click(*line.strip().split(" ", 1))
            leave()

        # Ctrl-C must not wait for the threads of a pool to end.
        signal.signal(signal.SIGINT, leave)
        Thread(target=obey, daemon=True).start()
        self.play()
        os._exit(0)  # a thread may still be reading stdin
