"""One worker process of a run, started with NAME and NOTES.

It is not for people, who have `worker`. It loads what it needs and then
reads from stdin whom to work for: TASKS, a NUL and RESULTS. NOTES is
the descriptor where it notes the id of the image that it is at. It has no
signal handlers: `run` ends it when nothing is left that it could lose.
"""

import os
import sys
from threading import Event

import zmq

from image_pipeline import messages_pb2 as pb
from image_pipeline.delivery.tasks import Make, TaskSockets, die_after
from image_pipeline.imaging.thumbnail import make_thumbnails, prepare
from image_pipeline.status import Incomplete
from image_pipeline.supervision.memory import keep_memory
from image_pipeline.transport.monitor import Refused
from image_pipeline.worker import work


def main(make: Make = make_thumbnails) -> None:
    """Work until the ventilator has gone."""
    name, notes = sys.argv[1], int(sys.argv[2])

    def note(report: pb.Report) -> None:
        at = report.id if report.stage == pb.STAGE_STARTED else 0
        os.pwrite(notes, at.to_bytes(8), 0)

    keep_memory()
    prepare()
    ends = sys.stdin.read()
    if not ends:  # the run has ended before it began
        return
    tasks, results = ends.split("\0")
    try:
        with (
            zmq.Context() as context,
            TaskSockets(
                context, tasks, results, stop=Event(), once=True
            ) as ends,
        ):
            work(make, ends, name, alarm=die_after, watch=note)
    except (Refused, Incomplete) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
