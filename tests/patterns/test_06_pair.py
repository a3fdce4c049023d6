"""A PAIR talks to exactly one other, and so joins two threads.

Sockets: PAIR binds, PAIR connects, over inproc. Messages: any frames, both
ways, no lock-step. Why: two threads share nothing but this pipe, so neither
needs a lock. Sources: Guide, chapter 2, "Signaling Between Threads"; libzmq
documentation, zmq_socket, "Exclusive pair pattern".
"""

from contextlib import suppress

import pytest
import zmq

from tests.patterns.helpers import (
    PATIENCE_S,
    InThread,
    is_silent,
    sockets,
    wait_until,
)


def double(context: zmq.SyncContext, endpoint: str) -> None:
    """A thread of its own: doubles each number, until an empty message."""
    with context.socket(zmq.PAIR) as parent:
        parent.connect(endpoint)
        parent.send(b"READY")
        while task := parent.recv():
            parent.send(b"%d" % (2 * int(task)))


def test_two_threads_talk_over_a_pair_without_a_lock(
    context: zmq.SyncContext, in_thread: InThread
) -> None:
    """Two threads talk over a PAIR without sharing any state or lock."""
    with context.socket(zmq.PAIR) as child:
        child.bind("inproc://doubler")
        thread = in_thread(double, context, "inproc://doubler")
        assert child.recv() == b"READY"  # a signal is just a message
        for number in range(10):
            child.send(b"%d" % number)
        answers = [int(child.recv()) for _ in range(10)]
        child.send(b"")
        thread.result(PATIENCE_S)
    assert answers == [2 * number for number in range(10)]


def test_a_pair_speaks_in_any_order(context: zmq.SyncContext) -> None:
    """PAIR has no lock-step: either side speaks when it likes."""
    with sockets(context, zmq.PAIR, zmq.PAIR) as (one, two):
        one.bind("inproc://pair")
        two.connect("inproc://pair")
        for number in (b"1", b"2", b"3"):
            one.send(number)
            two.send(number)
        assert [one.recv() for _ in range(3)] == [b"1", b"2", b"3"]
        assert [two.recv() for _ in range(3)] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
def test_a_third_is_not_heard(
    context: zmq.SyncContext, endpoint: str, transport: str
) -> None:
    """PAIR is exclusive: a third socket connects, but nobody hears it."""
    address = "inproc://pair" if transport == "inproc" else endpoint
    with sockets(context, zmq.PAIR, zmq.PAIR, zmq.PAIR) as (one, two, third):
        one.bind(address)
        two.connect(address)
        two.send(b"first")
        assert one.recv() == b"first"
        third.sndtimeo = 0
        third.connect(address)
        with suppress(zmq.Again):  # or its pipe is cut already
            third.send(b"let me in")
        two.send(b"second")
        assert one.recv() == b"second"
        assert is_silent(one)
        one.send(b"still yours")
        assert two.recv() == b"still yours"


def _hears_newcomer(one: zmq.SyncSocket, context: zmq.SyncContext) -> bool:
    with context.socket(zmq.PAIR) as newcomer:
        newcomer.connect("inproc://pair")
        with suppress(zmq.Again):  # the place is still taken
            newcomer.send(b"newcomer", zmq.DONTWAIT)
        return bool(one.poll(50))


def test_the_place_is_free_again(context: zmq.SyncContext) -> None:
    """Soon after its peer has left, a PAIR takes the next one."""
    with context.socket(zmq.PAIR) as one:
        one.bind("inproc://pair")
        with context.socket(zmq.PAIR) as two:
            two.connect("inproc://pair")
            two.send(b"first")
            assert one.recv() == b"first"
            assert not _hears_newcomer(one, context)
        wait_until(lambda: _hears_newcomer(one, context), "a free place")
        assert one.recv() == b"newcomer"


def test_a_pair_alone_waits(context: zmq.SyncContext) -> None:
    """A PAIR without a peer blocks when it sends."""
    with context.socket(zmq.PAIR) as alone:
        alone.bind("inproc://pair")
        with pytest.raises(zmq.Again):
            alone.send(b"hello", zmq.DONTWAIT)
