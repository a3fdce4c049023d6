"""One worker process of a run: python -m image_pipeline.process.

It takes TASKS RESULTS NAME and is not for people, who have `worker`. It
starts in a fraction of the time, since it has no options to parse, and the
batch waits for it. It has no signal handlers: `run` ends it when nothing is
left that it could lose.
"""

import sys
from threading import Event

import zmq

from image_pipeline.links import Refused
from image_pipeline.pixels import make_thumbnails, prepare
from image_pipeline.worker import Make, die_after, work


def main(make: Make = make_thumbnails) -> None:
    """Work until the ventilator has gone."""
    tasks, results, name = sys.argv[1:]
    prepare()
    try:
        with zmq.Context() as context:
            work(
                make,
                context=context,
                tasks=tasks,
                results=results,
                name=name,
                stop=Event(),
                once=True,
                alarm=die_after,
            )
    except Refused as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
