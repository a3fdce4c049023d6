"""Threads share a context and nothing else; a socket belongs to one thread.

Over inproc, threads pass messages instead of locking what they share: each
has sockets of its own, and ends when a message says so. A socket used by
two threads mixes their messages up, and may crash the process: no test can
show that reliably, so README.md names the source.

Sockets: PAIR, PUSH and PULL over inproc; PUB to SUB tells all to stop.
Messages: whatever the threads would share. Why: without shared state there
is nothing to lock. Sources: libzmq documentation, zmq ("Thread safety") and
zmq_inproc; Guide, chapter 2, "Multithreading with ZeroMQ" and "Signaling
Between Threads"; pyzmq, `Context.instance`, and its issue tracker, 1049.
"""

import os
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress

import pytest
import zmq

from tests.patterns.helpers import (
    PATIENCE_S,
    InThread,
    Spawn,
    bind_anywhere,
    is_silent,
    sockets,
)

STOP = b"STOP"


def relay(
    context: zmq.SyncContext, upstream: str, downstream: str, step: bytes
) -> None:
    """One thread of a chain: take a message, sign it, hand it on."""
    with context.socket(zmq.PAIR) as inbox, context.socket(zmq.PAIR) as out:
        inbox.bind(upstream)
        out.connect(downstream)
        while (message := inbox.recv()) != STOP:
            out.send(message + step)
        out.send(STOP)  # and so the whole chain ends, in order


def work(context: zmq.SyncContext, tasks: str, control: str) -> int:
    """Work on tasks until the control socket says stop; count them."""
    with context.socket(zmq.PULL) as inbox, context.socket(zmq.SUB) as boss:
        inbox.connect(tasks)
        boss.subscribe(STOP)
        boss.connect(control)
        poller = zmq.Poller()
        poller.register(inbox, zmq.POLLIN)
        poller.register(boss, zmq.POLLIN)
        done, stopping = 0, False
        while True:
            ready = dict(poller.poll(0 if stopping else None))
            if inbox in ready:
                inbox.recv()
                done += 1
            elif stopping:  # and no task is left
                return done
            else:
                stopping = boss.recv() == STOP


def hear_after_a_fork(_: zmq.SyncContext, which: str) -> None:
    """Send to a child process, which has its parent's context or its own."""
    warnings.simplefilter("ignore", DeprecationWarning)  # fork and threads
    mine: zmq.SyncContext = zmq.Context.instance()
    with mine.socket(zmq.PUSH) as push:
        endpoint = bind_anywhere(push)
        if os.fork() == 0:
            inherited = which == "inherited"
            context = mine if inherited else zmq.Context.instance()
            pull = context.socket(zmq.PULL)
            pull.connect(endpoint)
            print(pull.recv() if pull.poll(500) else "silence", flush=True)
            os._exit(0)
        push.sndtimeo, push.linger = 1000, 0
        with suppress(zmq.Again):  # nobody has come
            push.send(b"hello")
        os.wait()


def test_a_chain_of_threads_passes_a_message_along(
    context: zmq.SyncContext, in_thread: InThread
) -> None:
    """Three threads pass messages on in order, without a lock."""
    with sockets(context, zmq.PAIR, zmq.PAIR) as (first, last):
        last.bind("inproc://end")
        first.connect("inproc://a")
        threads = [
            in_thread(relay, context, upstream, downstream, step)
            for upstream, downstream, step in (
                ("inproc://a", "inproc://b", b"a"),
                ("inproc://b", "inproc://c", b"b"),
                ("inproc://c", "inproc://end", b"c"),
            )
        ]
        for number in range(100):
            first.send(b"%d:" % number)
        first.send(STOP)
        for number in range(100):
            assert last.recv() == b"%d:abc" % number
        assert last.recv() == STOP
    for thread in threads:
        thread.result(PATIENCE_S)


def test_threads_meet_in_one_context_and_never_in_two(
    new_context: Callable[[], zmq.SyncContext],
) -> None:
    """The same inproc endpoint in two contexts is two endpoints."""
    here, there = new_context(), new_context()
    with (
        here.socket(zmq.PAIR) as one,
        there.socket(zmq.PAIR) as stranger,
        here.socket(zmq.PAIR) as other,
    ):
        one.bind("inproc://meeting")
        stranger.connect("inproc://meeting")  # and no error either
        stranger.send(b"hello?")
        assert is_silent(one)

        other.connect("inproc://meeting")
        other.send(b"hello")
        assert one.recv() == b"hello"


def test_many_threads_may_use_one_context_at_once(
    context: zmq.SyncContext, in_thread: InThread
) -> None:
    """Any thread may make sockets in a context that all of them share."""

    def report(number: int) -> None:
        with context.socket(zmq.PUSH) as push:
            push.connect("inproc://all")
            push.send(b"%d" % number)

    with context.socket(zmq.PULL) as pull:
        pull.bind("inproc://all")
        threads = [in_thread(report, number) for number in range(50)]
        received = sorted(int(pull.recv()) for _ in threads)
    assert received == list(range(50))


def _take_turns(*steps: Callable[[], object]) -> None:
    """Run each step in a thread of its own, strictly one after another.

    Not even at the same time: the trap needs no race to shut.
    """
    for step in steps:
        thread = threading.Thread(target=step)
        thread.start()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def test_two_threads_in_one_socket_mix_their_messages_up(
    context: zmq.SyncContext,
) -> None:
    """Threads that share a socket put frames into each other's message."""
    with sockets(context, zmq.PULL, zmq.PUSH) as (pull, shared):
        pull.bind("inproc://shared")
        shared.connect("inproc://shared")
        _take_turns(
            lambda: shared.send(b"pay to Alice", zmq.SNDMORE),
            lambda: shared.send_multipart([b"pay to Bob", b"5 francs"]),
            lambda: shared.send(b"1000 francs"),
        )
        assert pull.recv_multipart() == [
            b"pay to Alice",
            b"pay to Bob",
            b"5 francs",
        ]
        assert pull.recv_multipart() == [b"1000 francs"]


def test_two_threads_in_one_req_get_each_others_answers(
    context: zmq.SyncContext,
) -> None:
    """Two threads that share a REQ break its lock-step for each other."""
    with sockets(context, zmq.REP, zmq.REQ) as (rep, shared):
        rep.bind("inproc://shared")
        shared.connect("inproc://shared")
        answers: list[bytes] = []

        def bob() -> None:
            with pytest.raises(zmq.ZMQError) as out_of_turn:
                shared.send(b"Bob's balance?")
            assert out_of_turn.value.errno == zmq.EFSM
            rep.send(b"the answer to " + rep.recv())
            answers.append(shared.recv())

        _take_turns(lambda: shared.send(b"Alice's balance?"), bob)
        assert answers == [b"the answer to Alice's balance?"], "Bob has it"


def test_a_socket_for_each_thread_keeps_their_messages_apart(
    context: zmq.SyncContext,
) -> None:
    """A socket for each thread costs little and mixes nothing up."""
    opened = sockets(context, zmq.PULL, zmq.PUSH, zmq.PUSH)
    with opened as (pull, alices, bobs):
        pull.bind("inproc://own")
        alices.connect("inproc://own")
        bobs.connect("inproc://own")
        _take_turns(
            lambda: alices.send(b"pay to Alice", zmq.SNDMORE),
            lambda: bobs.send_multipart([b"pay to Bob", b"5 francs"]),
            lambda: alices.send(b"1000 francs"),
        )
        assert sorted(pull.recv_multipart() for _ in range(2)) == [
            [b"pay to Alice", b"1000 francs"],
            [b"pay to Bob", b"5 francs"],
        ]


def test_a_flag_does_not_stop_a_thread_that_waits_for_a_message(
    context: zmq.SyncContext, in_thread: InThread
) -> None:
    """A thread inside recv cannot see a flag that someone has set."""
    waiting, stop = threading.Event(), threading.Event()

    def obey_a_flag() -> None:
        with context.socket(zmq.PULL) as inbox:
            inbox.bind("inproc://flagged")
            while not stop.is_set():
                waiting.set()
                inbox.recv()

    thread = in_thread(obey_a_flag)
    assert waiting.wait(PATIENCE_S)
    stop.set()
    with pytest.raises(TimeoutError):
        thread.result(timeout=0.3)

    with context.socket(zmq.PUSH) as push:
        push.connect("inproc://flagged")
        push.send(b"anything: it is the message that wakes it")
        thread.result(PATIENCE_S)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_message_stops_a_thread_after_its_last_task(
    context: zmq.SyncContext, in_thread: InThread, workers: int
) -> None:
    """Threads that listen to a control socket all stop when told to, once."""
    with sockets(context, zmq.PUSH, zmq.XPUB) as (tasks, boss):
        tasks.bind("inproc://tasks")
        boss.xpub_verbose = True
        boss.bind("inproc://control")
        threads = [
            in_thread(work, context, "inproc://tasks", "inproc://control")
            for _ in range(workers)
        ]
        for _ in threads:
            assert boss.recv() == b"\x01" + STOP  # it listens
        for _ in range(30):
            tasks.send(b"a task")
        boss.send(STOP)
        assert sum(thread.result(PATIENCE_S) for thread in threads) == 30


@pytest.mark.parametrize(
    ("which", "heard"),
    [("inherited", "silence"), ("its own", "b'hello'")],
    ids=["trap", "cure"],
)
def test_a_context_does_not_survive_a_fork(
    spawn: Spawn, which: str, heard: str
) -> None:
    """A context that came through a fork is dead; instance() makes a new one.

    Its threads have stayed in the parent, so nothing is carried.
    """
    program = spawn(hear_after_a_fork, which)
    assert program.wait() == 0, program.stderr
    assert program.stdout == f"{heard}\n"
