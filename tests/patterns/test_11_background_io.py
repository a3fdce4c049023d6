"""A thread in the background carries what a program has sent.

`send` puts a message into a queue and returns; a thread of the context does
the rest, while the program does something else, or nothing. What is still
queued when the program leaves is decided by LINGER: dropped, waited for, or
waited for up to a limit.

Sockets: PUSH connects, PULL binds. Messages: one way. Why: a program does
not wait for the network, and so has to be told when to. Sources: libzmq
documentation, zmq_send, zmq_ctx_term, ZMQ_LINGER, ZMQ_IO_THREADS; Guide,
chapter 2, "I/O Threads"; pyzmq's issue tracker, 1003 and 1512.
"""

import contextlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

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

FOR_EVER = -1
REEL = bytes(1_000_000)
REELS = 64  # a film far larger than the buffers of the kernel


def hand_over(
    context: zmq.SyncContext, endpoint: str, message: bytes, linger_ms: int
) -> None:
    """Queue a message for a peer that may come to `endpoint`, and leave."""
    with context.socket(zmq.PUSH) as push:
        push.linger = linger_ms
        push.connect(endpoint)
        push.send(message)  # returns: the message is queued
    context.term()  # returns: it is delivered, or LINGER is over


def send_film(context: zmq.SyncContext, endpoint: str) -> None:
    """Send a film; stay until it is delivered, but not for ever."""
    with context.socket(zmq.PUSH) as push:
        push.linger = 20_000
        push.connect(endpoint)
        for _ in range(REELS):
            push.send(REEL)
        print("sent", flush=True)


# The same without an ending, as a script that has done its work.
FALLS_OFF_THE_END = f"""
import sys, zmq
push = zmq.Context().socket(zmq.PUSH)
push.connect(sys.argv[1])
for _ in range({REELS}):
    push.send(bytes(1_000_000))
print("sent", flush=True)
"""

# A function that leaves its context to Python's collector.
FORGETS = """
import sys, warnings, zmq
warnings.simplefilter("ignore", ResourceWarning)  # as Python does by default
def report(context):
    push = context.socket(zmq.PUSH)
    push.connect(sys.argv[1])
    push.send(b"done")
    print("sent", flush=True)
report({context})
print("returned", flush=True)
"""


def test_send_returns_before_there_is_anybody_to_receive(
    context: zmq.SyncContext, endpoint: str
) -> None:
    """A send that has returned means queued, not delivered."""
    with sockets(context, zmq.PUSH, zmq.PULL) as (push, pull):
        push.connect(endpoint)
        push.send(b"to nobody")
        assert not Path(endpoint.removeprefix("ipc://")).exists()

        pull.bind(endpoint)
        assert pull.recv() == b"to nobody"


def test_only_an_answer_says_that_a_message_was_dealt_with(
    context: zmq.SyncContext,
) -> None:
    """To know that a message was dealt with, wait for the reply to it."""
    with sockets(context, zmq.REQ, zmq.REP) as (client, server):
        client.connect(bind_anywhere(server))
        client.send(b"save this")
        assert server.poll(int(PATIENCE_S * 1000)), "it has arrived"
        assert not client.poll(0), "and nobody has saved anything yet"

        server.send(b"saved: " + server.recv())
        assert client.recv() == b"saved: save this"


def test_the_io_thread_receives_while_the_program_looks_away(
    context: zmq.SyncContext, spawn: Spawn
) -> None:
    """Messages arrive while the program does not call ZeroMQ at all."""
    with context.socket(zmq.PULL) as pull:
        sender = spawn(send_film, bind_anywhere(pull))
        # The kernel holds a few megabytes. That the sender could deliver 64
        # and leave shows that the I/O thread on this side took them in.
        assert sender.wait() == 0, sender.stderr

        assert [pull.recv() for _ in range(REELS)] == [REEL] * REELS


def _io_threads() -> set[str]:
    """The ids of this process's I/O threads, known by libzmq's names."""
    ids = set()
    for comm in Path("/proc/self/task").glob("*/comm"):
        # A thread of an earlier test may end while it is being read.
        with contextlib.suppress(OSError):
            if comm.read_text().startswith("ZMQbg/IO"):
                ids.add(comm.parent.name)
    return ids


@pytest.mark.parametrize("threads", [1, 3])
def test_fifty_sockets_share_the_io_threads_of_their_context(
    context: zmq.SyncContext, threads: int
) -> None:
    """A context has one I/O thread, not one for each socket or connection.

    A second one is worth having per gigabyte a second, says the Guide: a
    rule of thumb, not a guarantee.
    """
    before = _io_threads()
    context.set(zmq.IO_THREADS, threads)  # before the first socket
    spokes = [context.socket(zmq.PUSH) for _ in range(50)]
    with context.socket(zmq.PULL) as hub:
        endpoint = bind_anywhere(hub)
        for spoke in spokes:
            spoke.connect(endpoint)
            spoke.send(b"hello")
        assert [hub.recv() for _ in spokes] == [b"hello"] * 50

        assert len(_io_threads() - before) == threads
    for spoke in spokes:
        spoke.close()


def test_inproc_needs_no_io_thread_and_tcp_does(
    context: zmq.SyncContext,
) -> None:
    """Between threads no I/O thread is involved, so none is needed."""
    context.set(zmq.IO_THREADS, 0)
    with sockets(context, zmq.PAIR, zmq.PAIR) as (one, other):
        with pytest.raises(zmq.ZMQError) as refused:
            one.bind("tcp://127.0.0.1:*")
        assert refused.value.errno == zmq.EMTHREAD

        one.bind("inproc://pair")
        other.connect("inproc://pair")
        one.send(b"through memory")
        assert other.recv() == b"through memory"


@pytest.mark.parametrize("linger_ms", [0, 300])
def test_linger_gives_up_when_its_time_is_over(
    new_context: Callable[[], zmq.SyncContext], endpoint: str, linger_ms: int
) -> None:
    """LINGER 0 drops the queue at once, and LINGER n after n milliseconds."""
    began = time.monotonic()
    hand_over(new_context(), endpoint, b"lost", linger_ms)
    took_ms = (time.monotonic() - began) * 1000
    # Its clock counts whole milliseconds, so a wait may be one too short.
    assert linger_ms - 2 <= took_ms < linger_ms + 10_000

    with new_context().socket(zmq.PULL) as pull:
        pull.bind(endpoint)
        hand_over(new_context(), endpoint, b"kept", linger_ms=10_000)
        assert pull.recv() == b"kept", "the first is gone, queue and all"


def test_linger_minus_one_waits_for_a_peer_that_may_never_come(
    new_context: Callable[[], zmq.SyncContext],
    in_thread: InThread,
    endpoint: str,
) -> None:
    """LINGER -1, the default, hangs until the peer is there."""
    with zmq.Context() as untouched, untouched.socket(zmq.PUSH) as push:
        assert push.linger == FOR_EVER

    leaving = in_thread(hand_over, new_context(), endpoint, b"kept", FOR_EVER)
    with pytest.raises(TimeoutError):
        leaving.result(timeout=0.5)

    with new_context().socket(zmq.PULL) as pull:
        pull.bind(endpoint)
        assert pull.recv() == b"kept"
    leaving.result(timeout=PATIENCE_S)


def test_falling_off_the_end_loses_what_is_still_queued(
    context: zmq.SyncContext, start: Spawn, tmp_path: Path
) -> None:
    """A script that just ends loses messages, and its exit status is 0."""
    (tmp_path / "script.py").write_text(FALLS_OFF_THE_END)
    with context.socket(zmq.PULL) as pull:
        pull.rcvhwm = 1  # a receiver that is busy with something else
        script = start("script", bind_anywhere(pull), cwd=tmp_path)
        assert script.wait() == 0, script.stderr
        assert script.stdout == "sent\n"

        arrived = 0
        while not is_silent(pull, for_s=0.3):
            assert pull.recv() == REEL
            arrived += 1
        assert arrived < REELS


def test_with_and_a_bounded_linger_deliver_everything(
    context: zmq.SyncContext, spawn: Spawn
) -> None:
    """A `with` block and a bounded LINGER deliver what is still queued."""
    with context.socket(zmq.PULL) as pull:
        pull.rcvhwm = 1  # busy as well
        sender = spawn(send_film, bind_anywhere(pull))
        sender.wait_for("sent")
        with pytest.raises(subprocess.TimeoutExpired):
            sender.process.wait(0.3)  # LINGER keeps it here

        assert [pull.recv() for _ in range(REELS)] == [REEL] * REELS
        assert sender.wait() == 0, sender.stderr


@pytest.mark.parametrize(
    ("context", "returns"),
    [("zmq.Context()", False), ("zmq.Context.instance()", True)],
    ids=["trap", "cure"],
)
def test_a_context_that_a_function_forgets_hangs_in_the_collector(
    start: Spawn, tmp_path: Path, endpoint: str, context: str, returns: bool
) -> None:
    """A context that a function forgets hangs where the function returns.

    Python collects it, which waits for LINGER. `Context.instance()` is kept
    for the whole process; better still is a `with`, as in the last test.
    """
    (tmp_path / "script.py").write_text(FORGETS.format(context=context))
    script = start("script", endpoint, cwd=tmp_path)  # where nobody is
    script.wait_for("sent")
    if returns:
        assert script.wait() == 0, script.stderr
        assert script.stdout.endswith("returned\n")
    else:
        with pytest.raises(subprocess.TimeoutExpired):
            script.process.wait(0.5)
        assert "returned" not in script.stdout
