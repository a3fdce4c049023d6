"""Worker: pulls a task, works on it, pushes the results.

    PULL connect "tasks"    <- Task, files       from the ventilator
    PUSH connect "results"  -> Reports, results  to the sink

PULL takes from all senders in turn; PUSH gives to any receiver with room. So
a worker needs no address of its own, and nobody keeps a list of them: start
one more and it gets its share, stop one and the others get it (ZeroMQ Guide,
chapter 1, "Divide and Conquer"). It touches no file, so it runs anywhere.
"""

import zmq

from image_pipeline.delivery.presence import Until, WorkerPresence
from image_pipeline.delivery.tasks import TaskRunner
from image_pipeline.transport.curve import Keys
from image_pipeline.transport.sockets import Context, connected


def work(
    context: Context,
    endpoints: tuple[str, str],
    runner: TaskRunner,
    until: Until,
    keys: Keys | None = None,
) -> None:
    """Work until it is time to leave.

    Raises Refused when a key or a protocol does not fit, and Incomplete
    when a worker for one batch misses the ventilator or the sink.
    """
    tasks_at, results_at = endpoints
    with (
        # region sockets
        connected(context, zmq.PULL, tasks_at, keys, short=True) as tasks,
        connected(context, zmq.PUSH, results_at, keys) as results,
        # endregion
    ):
        presence = WorkerPresence(tasks, results, until)
        # region loop
        if presence.waits_for(results, zmq.POLLOUT):
            results.send(runner.ready())
        while presence.waits_for(tasks, zmq.POLLIN):
            task = runner.read(tasks.recv_multipart())
            if presence.waits_for(results, zmq.POLLOUT):
                results.send(runner.started(task))  # from now on it is ours
            made = runner.make(task)
            if presence.waits_for(results, zmq.POLLOUT):
                results.send_multipart(made)
        if results.poll(0, zmq.POLLOUT):
            results.send(runner.leaving())
        # endregion
