"""Ping after ping, like ping(8), from one client or from several at once."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count as counter
from itertools import islice
from threading import Lock

from pingpong.client import Client, LostError, StoppedError
from pingpong.messages_pb2 import Ping
from pingpong.support.stats import Outcome, Report
from pingpong.support.stop import Stop


def pings(
    client: Client, *, count: int, interval: float = 0, payload: bytes = b""
) -> Iterator[Outcome]:
    """Ask `count` times (0: until stopped), pausing `interval` seconds."""
    for seq in islice(counter(1), count or None):
        if seq > 1 and interval and client.stop.wait(interval):
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
        if rtt is None and not lost:
            return


def fleet(
    clients: Sequence[Client],
    report: Report,
    stop: Stop,
    take: Callable[[int, Outcome], None],
    *,
    count: int,
    interval: float = 0,
    size: int = 0,
) -> None:
    """Run all `clients` at once, each in a thread, and fill in `report`.

    `take` is called with the number of the client and each ping's outcome.

    Every client has a payload of its own, so an answer that crossed over to
    another client would not go unseen.
    """
    lock = Lock()

    def run(number: int, client: Client) -> None:
        payload = random.Random(number).randbytes(size)
        try:
            for outcome in pings(
                client, count=count, interval=interval, payload=payload
            ):
                with lock:
                    report.add(outcome)
                    take(number, outcome)
        except BaseException:
            stop.set()  # one client failed in earnest: the others end too
            raise

    with ThreadPoolExecutor(len(clients)) as pool:
        try:
            runs = [
                pool.submit(run, number, client)
                for number, client in enumerate(clients, 1)
            ]
        except RuntimeError:  # no thread is left: the others end too
            stop.set()
            raise
    for done in runs:
        done.result()
