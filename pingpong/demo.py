"""The demonstration: three clients, and a server that is killed meanwhile.

Nothing here is timed by sleeping: the server dies when every client has had
a third of its pongs, and the next one starts when every client has noticed.
"""

import queue
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import zmq

from pingpong.support.pings import News, Plan, fleet
from pingpong.support.process import running, server_command
from pingpong.support.stats import Outcome, Report
from pingpong.support.stop import Stop

PLAN = Plan(clients=3, count=36, timeout=0.3, retries=50, interval=0.1)
PATIENCE = 30.0  # seconds for all of it

Tell = Callable[[str], None]


def run(stop: Stop, title: Tell, show: Tell) -> Report:
    """Play it to the end, or until `stop`, which is to have a deadline."""
    report = Report()
    with ExitStack() as stack:
        enter = stack.enter_context
        endpoint = enter(held_endpoint())

        title("1. A server: one process, one REP socket.")
        first, _ = enter(running(*server_command(endpoint)))
        show(f"server {first.pid} listens on {endpoint}")

        title("2. Three clients: each sends a ping and waits for its pong.")
        told: queue.SimpleQueue[News | None] = queue.SimpleQueue()
        context = enter(zmq.Context())
        pool = enter(ThreadPoolExecutor(1))
        stack.callback(stop.set)
        playing = pool.submit(
            fleet, context, endpoint, stop, report, told.put, PLAN
        )
        playing.add_done_callback(lambda _: told.put(None))
        news = iter(told.get, None)
        for number, outcome in each(news, Outcome, PLAN.count // 3):
            show(f"client {number}: {outcome}")

        if not stop.wait(0):
            title("3. SIGKILL: the server is gone and could not say goodbye.")
            first.kill()
            status = first.wait(PATIENCE)
            show(f"server {first.pid} ended with status {status}")
            for number, _ in each(news, int, 1):
                show(f"client {number}: no answer; new socket, asks again")

        if not stop.wait(0):
            title("4. A new server, the same port. Nobody tells the clients.")
            second, _ = enter(running(*server_command(endpoint)))
            show(f"server {second.pid} listens on {endpoint}")
            for number, outcome in each(news, Outcome, 1):
                show(f"client {number}: {outcome}")

        if not stop.wait(0):
            title("5. The clients go on where they were, to the last ping.")
        playing.result(timeout=PATIENCE)
    return report


def each(
    news: Iterator[News], kind: type[Outcome | int], wanted: int
) -> Iterator[News]:
    """For each client, the `wanted`-th of its news that are of a `kind`."""
    had: Counter[int] = Counter()
    for number, item in news:
        had[number] += isinstance(item, kind)
        if had[number] == wanted and isinstance(item, kind):
            yield number, item
        if all(had[n + 1] >= wanted for n in range(PLAN.clients)):
            return


@contextmanager
def held_endpoint() -> Iterator[str]:
    """A port that stays ours while no server is on it.

    A server may share it, since libzmq sets SO_REUSEADDR too; the kernel
    gives it to nobody who asks for any port, nor to a client's end.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield f"tcp://127.0.0.1:{held.getsockname()[1]}"
