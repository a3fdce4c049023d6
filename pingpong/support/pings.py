"""Ping after ping, like ping(8), from one client or from several at once."""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from threading import Lock

import zmq

from pingpong.client import Client, LostError, StoppedError
from pingpong.messages_pb2 import Ping
from pingpong.support.stats import Outcome, Report
from pingpong.support.stop import Stop

# A client's number, and the end of a ping or the number of its next try.
News = tuple[int, Outcome | int]


@dataclass(frozen=True)
class Plan:
    """How many `clients` send `count` pings each, and how; in seconds."""

    clients: int
    count: int
    timeout: float
    retries: int
    interval: float
    size: int = 0


def pings(client: Client, plan: Plan, payload: bytes) -> Iterator[Outcome]:
    """Ask `count` times, or until stopped if that is 0."""
    for seq in itertools.islice(itertools.count(1), plan.count or None):
        if seq > 1 and client.stop.wait(plan.interval):
            return
        ping = Ping(id=random.randrange(1, 2**64), payload=payload)
        before = client.retried
        began = time.perf_counter()
        rtt, lost = None, ""
        try:
            client.ask(ping)
            rtt = time.perf_counter() - began
        except LostError as reason:
            lost = str(reason)
        except StoppedError:
            pass
        yield Outcome(seq, client.retried - before, rtt, lost)


def fleet(
    context: zmq.SyncContext,
    endpoint: str,
    stop: Stop,
    report: Report,
    take: Callable[[News], None],
    plan: Plan,
) -> None:
    """Run the clients of `plan`, each in a thread; fill in `report`.

    Each client has its own payload, so an answer to another would be seen.
    """
    lock = Lock()

    def run(number: int) -> None:
        payload = random.Random(number).randbytes(plan.size)
        with Client(
            *(context, endpoint, stop),
            timeout=plan.timeout,
            retries=plan.retries,
            on_retry=lambda attempt: take((number, attempt)),
        ) as client:
            for outcome in pings(client, plan, payload):
                with lock:
                    report.add(outcome)
                    take((number, outcome))

    with ThreadPoolExecutor(plan.clients) as pool:
        try:
            runs = [pool.submit(run, n + 1) for n in range(plan.clients)]
            for done in as_completed(runs):
                done.result()
        except BaseException:  # one failed or got no thread: the others end
            stop.set()
            raise
