"""Worker: pulls a task, makes thumbnails, pushes the result.

    PULL connect "tasks"    <- Task, images         from the ventilator
    PUSH connect "results"  -> Reports, thumbnails  to the sink

PULL takes from whoever pushes, fairly; PUSH gives to whoever has room. So a
worker needs no address of its own and nobody keeps a list of workers: start
one more and it gets its share, stop one and the others get it (ZeroMQ Guide,
chapter 1, "Divide and Conquer"). It touches no file, so it runs anywhere.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from image_pipeline import messages_pb2 as pb
from image_pipeline.delivery.tasks import Make, TaskSockets, attempt

Alarm = Callable[[float], AbstractContextManager[None]]


def work(
    make: Make,
    ends: TaskSockets,
    name: str,
    *,
    alarm: Alarm = lambda _: nullcontext(),
    watch: Callable[[pb.Report], None] = lambda _: None,
) -> int:
    """Make thumbnails until the tasks end; return for how many images.

    `alarm` limits the seconds that an image may take; `watch` is shown each
    report, when an image is started and when it is done.
    """
    made = 0
    ends.report(pb.Report(stage=pb.STAGE_READY, worker=name))
    for task, recipe, images in ends.tasks():
        reports = [
            pb.Report(id=each, stage=pb.STAGE_STARTED, worker=name)
            for each in task.ids
        ]
        ends.report(*reports)  # from now on they are ours
        thumbnails: list[bytes] = []
        for report, image in zip(reports, images, strict=True):
            watch(report)
            with alarm(task.timeout_ms / 1000):
                thumbnails += attempt(make, image, recipe, report)
            watch(report)
            made += report.stage == pb.STAGE_MADE
        ends.report(*reports, thumbnails=thumbnails)
    ends.report(pb.Report(stage=pb.STAGE_LEAVING, worker=name))
    return made
