"""Logs and metrics leave a program without ever making it wait.

A log is published: PUB drops what nobody listens to, and what a listener is
too slow for. A measurement is pushed to one aggregator with DONTWAIT: where
there is no room it is dropped, and the program counts that.

Sockets: PUB binds, SUB connects; PUSH connects, PULL binds. Messages:
records, numbered so that a listener knows what it has missed; measurements.
Why: what watches a program must never be able to stop it. Sources: libzmq
documentation, zmq_socket (mute state of PUB and PUSH); pyzmq,
zmq.log.handlers.PUBHandler, whose lock lets all threads share its socket.
"""

import logging
import signal
from collections import Counter

import pytest
import zmq
from zmq.log.handlers import PUBHandler

from tests.patterns.helpers import (
    Spawn,
    bind_anywhere,
    is_silent,
    kill,
    sockets,
    stop,
    wait_until,
    watch,
)


def log_over(socket: zmq.SyncSocket, topic: str) -> logging.Logger:
    """Make a logger whose records go out as `topic.LEVEL` on a socket."""
    logger = logging.Logger(topic)
    handler = PUBHandler(socket, root_topic=topic)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    return logger


def report(push: zmq.SyncSocket, metric: bytes, amount: int) -> bool:
    """Send a measurement if there is room; say whether it was sent."""
    try:
        push.send_multipart([metric, b"%d" % amount], zmq.DONTWAIT)
    except zmq.Again:
        return False
    return True


def aggregate(
    context: zmq.SyncContext, endpoint: str, programs: str = "1"
) -> None:
    """Add up what is reported, until so many programs have said `stop`."""
    totals: Counter[str] = Counter()
    with context.socket(zmq.PULL) as pull:
        pull.bind(endpoint)
        while totals["stop"] < int(programs):
            metric, amount = pull.recv_multipart()
            totals[metric.decode()] += int(amount)
    print(dict(totals), flush=True)


def count_records(context: zmq.SyncContext, endpoint: str) -> None:
    """Read numbered records; say how many came and how many are missing."""
    received = 0
    with context.socket(zmq.SUB) as sub:
        sub.connect(endpoint)
        sub.subscribe(b"app.")
        while True:
            topic, text = sub.recv_multipart()
            number = int(text.split()[0])
            if topic == b"app.CRITICAL":  # the last, with the total
                break
            received += 1
            if number == 0:
                print("listening", flush=True)
    missed = number - received
    print(f"{received=} {missed=}", flush=True)


def test_a_listener_subscribes_to_a_program_and_a_level(
    context: zmq.SyncContext,
) -> None:
    """The topic of a record is its program and level, to be filtered on."""
    with sockets(context, zmq.XPUB, zmq.SUB) as (pub, sub):
        pub.bind("inproc://log")
        sub.connect("inproc://log")
        sub.subscribe(b"shop.ERROR")
        assert pub.recv() == b"\x01shop.ERROR"

        log = log_over(pub, "shop")
        log.info("a customer came in")
        log.error("the till is empty")
        topic, text = sub.recv_multipart()
        assert topic == b"shop.ERROR"
        assert b"the till is empty" in text


def test_a_log_over_push_stops_the_program_when_nobody_listens(
    context: zmq.SyncContext,
) -> None:
    """PUSH waits for a listener, so it is the wrong socket for a log."""
    with context.socket(zmq.PUSH) as push:
        push.sndtimeo = 100  # or the next line would never return
        bind_anywhere(push)
        with pytest.raises(zmq.Again):
            log_over(push, "app").info("is there anybody there?")


def test_a_log_over_pub_costs_nothing_when_nobody_listens(
    context: zmq.SyncContext,
) -> None:
    """PUB drops every record that nobody has subscribed to."""
    with context.socket(zmq.PUB) as pub:
        bind_anywhere(pub)
        log = log_over(pub, "app")
        for number in range(3_000):
            log.info("%d", number)


def test_a_stalled_listener_does_not_stop_the_program(
    context: zmq.SyncContext, spawn: Spawn
) -> None:
    """PUB drops what a listener cannot take; the numbers show the gap."""
    records = 3_000
    padding = "." * 20_000  # 60 MB in all, more than buffers will hold
    with context.socket(zmq.XPUB) as pub:
        pub.sndhwm = 100
        listener = spawn(count_records, bind_anywhere(pub))
        assert pub.recv() == b"\x01app."
        log = log_over(pub, "app")
        log.info("%d", 0)
        listener.wait_for("listening")

        stop(listener)
        for number in range(1, records):
            log.info("%d %s", number, padding)
        listener.signal(signal.SIGCONT)

        def listener_has_ended() -> bool:
            log.critical("%d", records)  # again, in case this was dropped
            return listener.process.poll() is not None

        wait_until(listener_has_ended, "the listener hears the last record")
        result = listener.wait_for(r"received=(\d+) missed=(\d+)")
        received, missed = map(int, result.groups())
        # What was queued has been delivered; the rest was not waited for.
        assert 1 < received < 1_000
        assert received + missed == records


def test_metrics_of_many_programs_add_up_in_one_place(
    context: zmq.SyncContext, spawn: Spawn, endpoint: str
) -> None:
    """One PULL adds up what any number of PUSH sockets report."""
    aggregator = spawn(aggregate, endpoint, "3")
    programs = [context.socket(zmq.PUSH) for _ in range(3)]
    for program in programs:
        program.connect(endpoint)
        for _ in range(100):
            assert report(program, b"requests", 1)
            assert report(program, b"bytes", 50)
        assert report(program, b"stop", 1)
    totals = aggregator.wait_for(r"'requests': (\d+), 'bytes': (\d+)")
    assert totals.groups() == ("300", "15000")
    assert aggregator.wait() == 0, aggregator.stderr
    for program in programs:
        program.close()


@pytest.mark.parametrize(
    ("program", "aggregator"),
    [(zmq.PUSH, zmq.PULL), (zmq.DEALER, zmq.ROUTER)],
)
def test_an_aggregator_hears_every_program_in_turn(
    context: zmq.SyncContext, program: int, aggregator: int
) -> None:
    """PULL and ROUTER take from all in turn, so that none drowns another."""
    opened = sockets(context, aggregator, program, program)
    with opened as (into, chatty, quiet):
        into.bind("inproc://metrics")
        for push, says, times in ((chatty, b"1", 100), (quiet, b"2", 3)):
            push.connect("inproc://metrics")
            for _ in range(times):
                push.send(says)
        first_six = Counter(into.recv_multipart()[-1] for _ in range(6))
    assert first_six == {b"1": 3, b"2": 3}


def test_a_stalled_aggregator_costs_numbers_but_no_time(
    context: zmq.SyncContext,
) -> None:
    """What finds no room is dropped and counted, so the counts add up."""
    with sockets(context, zmq.PULL, zmq.PUSH) as (pull, push):
        push.connect(bind_anywhere(pull))
        outcomes = Counter(
            report(push, b"." * 10_000, 1) for _ in range(10_000)
        )
        sent, dropped = outcomes[True], outcomes[False]
        assert sent > 0
        assert dropped > 0, "nobody reads, and the program is past it"

        assert sum(int(pull.recv_multipart()[1]) for _ in range(sent)) == sent
        assert is_silent(pull), "what was counted as dropped never arrives"


def test_metrics_go_on_after_the_aggregator_was_killed(
    context: zmq.SyncContext, spawn: Spawn, endpoint: str
) -> None:
    """The next aggregator gets what was reported while there was none."""
    first = spawn(aggregate, endpoint)
    with context.socket(zmq.PUSH) as push, watch(push) as monitor:
        push.sndhwm = 100
        push.connect(endpoint)
        monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        kill(first)
        monitor.wait_for(zmq.EVENT_DISCONNECTED)

        sent = sum(report(push, b"requests", 1) for _ in range(1_000))
        assert 0 < sent < 1_000, "the queue has a limit, and nothing blocks"

        second = spawn(aggregate, endpoint)
        wait_until(lambda: report(push, b"stop", 1), "there is room again")
        totals = second.wait_for(r"'requests': (\d+)")
        assert int(totals.group(1)) == sent
