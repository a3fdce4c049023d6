"""One worker process, started with MAKE, NAME and NOTES by its supervisor.

It loads MAKE, a "module:function", and then reads one line of JSON from
stdin: a `Work`. The end of stdin asks it to leave. NOTES is the descriptor
to which it writes its current file; stdout is for people. It has no signal
handlers: the files that it holds when it is killed are sent again.

The bytes that it works on come from strangers. So before it has a socket it
gives up the files of its user and most memory: see `sandbox`.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from threading import Event, Thread

from image_pipeline import messages_pb2 as pb
from image_pipeline.delivery.handed_in import load
from image_pipeline.delivery.presence import Until
from image_pipeline.delivery.tasks import TaskRunner
from image_pipeline.outcome import Incomplete
from image_pipeline.supervision.process import (
    GIVES_UP,
    NOTE,
    die_with_parent,
    keep_memory,
)
from image_pipeline.supervision.sandbox import limit_memory, shut_in
from image_pipeline.transport import sockets
from image_pipeline.transport.curve import Keys
from image_pipeline.transport.endpoints import Unusable
from image_pipeline.transport.monitor import Refused
from image_pipeline.worker import work

COMMAND = (sys.executable, "-m", "image_pipeline.supervision.worker_main")
STDIN = 0
MAX_DESCRIPTOR = 2**31 - 1  # close_range(2) knows which are open


def main(arguments: Sequence[str]) -> None:
    die_with_parent()
    keep_memory()
    function, name, notes = *arguments[:2], int(arguments[2])
    # Descriptors of the program that started us may lead anywhere.
    os.closerange(3, notes)
    os.closerange(notes + 1, MAX_DESCRIPTOR)
    make = load(function)

    def note(file_id: int, seconds: float) -> None:
        os.pwrite(notes, NOTE.pack(file_id, time.monotonic(), seconds), 0)

    # Not with sys.stdin: a thread that reads it holds up the exit.
    with os.fdopen(STDIN, "rb", buffering=0, closefd=False) as stdin:
        line = stdin.readline()
    if not line:  # the supervisor has gone before there was work
        return
    tasks, results, keys, once, replaces = json.loads(line)
    runner = TaskRunner(make, name, note, _show)
    limit_memory()
    shut_in()
    try:
        with sockets.context(io_threads=1) as context:
            work(
                context,
                (tasks, results),
                runner,
                Until(_end_of_stdin(), once, replaces),
                Keys(*map(str.encode, keys)) if keys else None,
            )
    except (Refused, Incomplete, Unusable) as error:
        print(error, file=sys.stderr)
        sys.exit(GIVES_UP)
    _say(f"{name} made {runner.made} files")


def _end_of_stdin() -> Event:
    """Return an event that is set when the supervisor wants us to go."""
    ended = Event()

    def wait() -> None:
        while os.read(STDIN, 2**10):
            pass
        ended.set()

    Thread(target=wait, daemon=True).start()
    return ended


def _show(report: pb.Report) -> None:
    """Print a line about a file, by its number; a worker knows no names."""
    line = f"file {report.id & 0xFFFF_FFFF}: "
    if report.stage != pb.STAGE_MADE:
        _say(line + report.reason)
        return
    if report.width:
        line += f"{report.width} x {report.height} pixels "
    _say(f"{line}in {report.seconds * 1000:.0f} ms")


def _say(text: str) -> None:
    with suppress(OSError):  # nobody reads it any more
        os.write(1, f"{text}\n".encode(errors="replace"))


if __name__ == "__main__":
    main(sys.argv[1:])
