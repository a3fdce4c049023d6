"""A queue has a high-water mark: above it a socket drops, or it blocks.

Sockets: all types, over inproc, where the mark is exact: the sum of what
the sender and the receiver allow. Messages: counted, not weighed. Why: a
reader that stands still must not eat the memory of the writer. Which of the
two happens is the first thing to know of a socket type. Sources: libzmq
documentation, zmq_socket, "Action in mute state"; RFC 23 (ZMTP).
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from tests.patterns.helpers import (
    PATIENCE_S,
    Spawn,
    bind_anywhere,
    is_silent,
    sockets,
    stop,
)

MARK = 5
QUEUE = "inproc://queue"


def fill(sender: zmq.SyncSocket, frames: list[bytes], limit: int) -> int:
    """Send until the socket would block; return how many it took."""
    sender.poll(0)  # send alone looks only now and then who has read
    for sent in range(limit):
        try:
            sender.send_multipart(frames, zmq.DONTWAIT)
        except zmq.Again:
            return sent
    return limit


def empty(receiver: zmq.SyncSocket) -> int:
    """Receive what has arrived; return how many messages that was."""
    received = 0
    while receiver.poll(0):
        receiver.recv_multipart()
        received += 1
    return received


def stand_still(context: zmq.SyncContext, endpoint: str) -> None:
    """A subscriber process, to be stopped while others go on."""
    with context.socket(zmq.SUB) as subscriber:
        subscriber.subscribe(b"")
        subscriber.connect(endpoint)
        while True:
            subscriber.recv()


@contextmanager
def _joined(
    context: zmq.SyncContext, sender: int, receiver: int, mark: int = MARK
) -> Iterator[tuple[zmq.SyncSocket, zmq.SyncSocket]]:
    """A bound sender and a connected receiver, each with the same mark."""
    with sockets(context, sender, receiver) as (out, into):
        out.sndhwm = into.rcvhwm = mark
        if receiver == zmq.SUB:
            into.subscribe(b"")
        into.identity = b"peer"  # for a ROUTER to send to
        out.bind(QUEUE)
        into.connect(QUEUE)
        if receiver == zmq.XSUB:
            into.send(b"\x01")
        yield out, into


def _message(sender: int) -> list[bytes]:
    return [b"peer", b"message"] if sender == zmq.ROUTER else [b"message"]


@pytest.mark.parametrize(
    ("sender", "receiver"),
    [
        (zmq.PUB, zmq.SUB),
        (zmq.XPUB, zmq.XSUB),
        (zmq.XSUB, zmq.XPUB),
        (zmq.ROUTER, zmq.DEALER),
    ],
    ids=["PUB", "XPUB", "XSUB", "ROUTER"],
)
def test_these_drop_at_the_mark(
    context: zmq.SyncContext, sender: int, receiver: int
) -> None:
    """PUB, XPUB, XSUB and ROUTER drop what is above the mark in silence."""
    with _joined(context, sender, receiver) as (out, into):
        assert fill(out, _message(sender), limit=100) == 100
        assert empty(into) == 2 * MARK
        assert fill(out, _message(sender), limit=1) == 1
        assert empty(into) == 1  # for now there is room again


@pytest.mark.parametrize(
    ("sender", "receiver"),
    [
        (zmq.PUSH, zmq.PULL),
        (zmq.DEALER, zmq.ROUTER),
        (zmq.PAIR, zmq.PAIR),
        (zmq.REQ, zmq.ROUTER),
    ],
    ids=["PUSH", "DEALER", "PAIR", "REQ"],
)
def test_these_block_at_the_mark(
    context: zmq.SyncContext, sender: int, receiver: int
) -> None:
    """PUSH, DEALER, REQ and PAIR block at the mark and lose nothing."""
    with _joined(context, sender, receiver) as (out, into):
        if sender == zmq.REQ:  # else its lock-step stops it long before
            out.req_relaxed = True
        assert fill(out, [b"message"], limit=100) == 2 * MARK
        out.sndtimeo = 20
        with pytest.raises(zmq.Again):
            out.send(b"message")  # waits, and after 20 ms gives up
        assert empty(into) == 2 * MARK


@pytest.mark.parametrize(
    "sender", [zmq.PUSH, zmq.DEALER, zmq.REQ, zmq.PAIR], ids=lambda s: s.name
)
def test_these_block_without_a_peer(
    context: zmq.SyncContext, sender: int
) -> None:
    """PUSH, DEALER, REQ and PAIR that bind block while no peer has come."""
    with context.socket(sender) as out:
        out.bind(QUEUE)
        assert fill(out, [b"message"], limit=100) == 0


@pytest.mark.parametrize(
    "sender", [zmq.PUB, zmq.XPUB, zmq.ROUTER], ids=lambda s: s.name
)
def test_these_drop_without_a_peer(
    context: zmq.SyncContext, sender: int
) -> None:
    """PUB, XPUB and ROUTER drop every message while no peer has come."""
    with context.socket(sender) as out:
        out.bind(QUEUE)
        assert fill(out, _message(sender), limit=100) == 100


def test_a_stream_blocks_too(context: zmq.SyncContext) -> None:
    """STREAM blocks at the mark as well; its documentation says EAGAIN."""
    with context.socket(zmq.STREAM) as stream:
        stream.sndhwm = MARK
        host, port = bind_anywhere(stream).removeprefix("tcp://").split(":")
        with socket.create_connection((host, int(port)), PATIENCE_S):
            peer, _ = stream.recv_multipart()
            assert fill(stream, [peer, bytes(1_000_000)], limit=100) < 100
            stream.sndtimeo = 50
            began = time.monotonic()
            with pytest.raises(zmq.Again):
                while True:  # the kernel may still make room for a few
                    stream.send_multipart([peer, bytes(1_000_000)])
            assert time.monotonic() - began >= 0.04


def test_a_reply_to_one_who_left_is_dropped(context: zmq.SyncContext) -> None:
    """REP drops the reply to a requester that has left."""
    with context.socket(zmq.REP) as server:
        server.bind(QUEUE)
        with context.socket(zmq.REQ) as client:
            client.connect(QUEUE)
            client.send(b"question")
            assert server.recv() == b"question"
        server.send(b"answer")  # no error, and nobody there
        with context.socket(zmq.REQ) as client:
            client.connect(QUEUE)
            client.send(b"next")
            assert server.recv() == b"next"


def test_what_is_dropped_is_the_newest(context: zmq.SyncContext) -> None:
    """What is dropped is the newest: the reader finds the oldest first."""
    with _joined(context, zmq.PUB, zmq.SUB) as (publisher, subscriber):
        for number in range(100):
            publisher.send(b"%d" % number)
        kept = [int(subscriber.recv()) for _ in range(2 * MARK)]
        assert kept == list(range(2 * MARK))


def test_nodrop_makes_a_publisher_say_what_it_would_drop(
    context: zmq.SyncContext,
) -> None:
    """With XPUB_NODROP a publisher blocks at the mark instead of dropping."""
    with _joined(context, zmq.XPUB, zmq.SUB) as (publisher, subscriber):
        publisher.xpub_nodrop = True
        assert fill(publisher, [b"news"], limit=100) == 2 * MARK
        assert empty(subscriber) == 2 * MARK


def test_mandatory_makes_a_router_say_what_it_would_drop(
    context: zmq.SyncContext,
) -> None:
    """With ROUTER_MANDATORY a router blocks at the mark, too."""
    with _joined(context, zmq.ROUTER, zmq.DEALER) as (router, dealer):
        router.router_mandatory = True
        assert fill(router, [b"peer", b"message"], limit=100) == 2 * MARK
        assert empty(dealer) == 2 * MARK


@pytest.mark.parametrize(
    "frames",
    [[b""], [b"x" * 1_000_000], [b"a", b"message", b"of four", b"frames"]],
    ids=["empty", "a megabyte", "four frames"],
)
def test_the_mark_counts_messages(
    context: zmq.SyncContext, frames: list[bytes]
) -> None:
    """The mark counts messages, neither their bytes nor their frames."""
    with _joined(context, zmq.PUSH, zmq.PULL) as (out, _):
        assert fill(out, frames, limit=100) == 2 * MARK


def _speak_zmtp(endpoint: str) -> socket.socket:
    """Connect as a PUSH that no libzmq keeps in order (RFC 23)."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    peer = socket.create_connection((host, int(port)), PATIENCE_S)
    peer.sendall(
        b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(52, b"\0")
    )
    ready = b"\x05READY\x0bSocket-Type\0\0\0\x04PUSH"
    peer.sendall(b"\x04" + bytes([len(ready)]) + ready)
    # Its greeting and READY; until they are there, no message may follow.
    with peer.makefile("rb") as answers:
        assert len(answers.read(92)) == 92
    return peer


def test_a_message_that_never_ends_passes_every_mark(
    context: zmq.SyncContext,
) -> None:
    """A message that never ends passes every mark, and every size limit.

    A mark counts messages, neither parts nor bytes, and MAXMSGSIZE limits a
    part. Against a stranger who sends so, only keys help (chapter 16).
    """
    part = b"\x01\xff" + bytes(255)  # "more follows", and its length
    with context.socket(zmq.PULL) as into:
        into.rcvhwm, into.maxmsgsize = 1, 255
        with _speak_zmtp(bind_anywhere(into)) as stranger:
            for _ in range(100):  # 25 MB, more than the kernel's buffers
                stranger.sendall(part * 1000)
            assert is_silent(into), "all of it is held, and none of it shown"
            stranger.sendall(b"\x00\x00")  # the last part, empty
            assert len(into.recv_multipart()) == 100_001


def test_the_mark_holds_for_each_peer(context: zmq.SyncContext) -> None:
    """The mark holds for each peer: two readers, twice the queue."""
    with (
        _joined(context, zmq.PUSH, zmq.PULL) as (out, _),
        context.socket(zmq.PULL) as other,
    ):
        other.rcvhwm = MARK
        other.connect(QUEUE)
        assert fill(out, [b"message"], limit=100) == 4 * MARK


@pytest.mark.parametrize(
    ("binder", "connecter", "back"),
    [
        (zmq.PAIR, zmq.PAIR, [b"back"]),
        (zmq.ROUTER, zmq.DEALER, [b"peer", b"back"]),
    ],
    ids=["PAIR", "ROUTER and DEALER"],
)
def test_each_direction_has_its_own_queue(
    context: zmq.SyncContext, binder: int, connecter: int, back: list[bytes]
) -> None:
    """In DEALER, ROUTER and PAIR each direction has a queue of its own."""
    with sockets(context, binder, connecter) as (one, two):
        for end in (one, two):
            end.sndhwm = end.rcvhwm = MARK
        if binder == zmq.ROUTER:
            one.router_mandatory = True  # or it would drop, not block
            two.identity = b"peer"
        one.bind(QUEUE)
        two.connect(QUEUE)
        assert fill(two, [b"there"], limit=100) == 2 * MARK
        assert fill(one, back, limit=100) == 2 * MARK
        assert empty(one) == empty(two) == 2 * MARK


def test_the_default_mark_is_a_thousand(context: zmq.SyncContext) -> None:
    """By default the mark is 1000 messages at each end."""
    with sockets(context, zmq.PUSH, zmq.PULL) as (out, into):
        assert out.sndhwm == into.rcvhwm == 1000
        out.bind(QUEUE)
        into.connect(QUEUE)
        assert fill(out, [b"message"], limit=10_000) == 2000


def test_a_mark_of_zero_is_no_mark(context: zmq.SyncContext) -> None:
    """A mark of 0 means no limit but the memory."""
    with _joined(context, zmq.PUSH, zmq.PULL, mark=0) as (out, into):
        assert fill(out, [b"message"], limit=50_000) == 50_000
        assert empty(into) == 50_000


def test_a_queue_opens_again_at_its_low_water_mark(
    context: zmq.SyncContext,
) -> None:
    """A full queue takes messages again once half of it was read."""
    with _joined(context, zmq.PUSH, zmq.PULL) as (out, into):
        assert fill(out, [b"message"], limit=100) == 2 * MARK
        for _ in range(MARK - 1):
            into.recv()
        assert fill(out, [b"message"], limit=100) == 0
        into.recv()
        assert fill(out, [b"message"], limit=100) == MARK


def test_over_tcp_the_kernel_holds_more_than_the_mark(
    context: zmq.SyncContext,
) -> None:
    """Over tcp the mark is not exact: the kernel's buffers come on top."""
    with sockets(context, zmq.PUSH, zmq.PULL) as (out, into):
        out.sndhwm = into.rcvhwm = 1
        into.connect(bind_anywhere(out))
        out.send(b"and nobody receives any")
        out.sndtimeo = 500
        taken = 1
        with pytest.raises(zmq.Again):
            while taken < 2_000:
                out.send(bytes(100_000))
                taken += 1
        assert taken > 2


def test_a_burst_is_absorbed(context: zmq.SyncContext) -> None:
    """A burst waits in the queue: the sender is done before anyone reads."""
    with sockets(context, zmq.PUSH, zmq.PULL) as (out, into):
        into.connect(bind_anywhere(out))
        for number in range(1000):
            out.send(b"%d" % number)  # and now it may do something else
        assert [int(into.recv()) for _ in range(1000)] == list(range(1000))


def test_a_slow_subscriber_slows_nobody(
    context: zmq.SyncContext, endpoint: str, spawn: Spawn
) -> None:
    """A subscriber that stands still slows neither publisher nor others."""
    with sockets(context, zmq.XPUB, zmq.SUB) as (publisher, brisk):
        publisher.xpub_verbose = True
        publisher.bind(endpoint)
        slow = spawn(stand_still, endpoint)
        brisk.subscribe(b"")
        brisk.connect(endpoint)
        for _ in range(2):
            assert publisher.recv() == b"\x01"
        stop(slow)
        film = bytes(100_000)  # 200 MB in all, more than any buffer holds
        for number in range(2000):
            publisher.send(film)
            if number % 100 == 99:
                for _ in range(100):
                    assert brisk.recv() == film
        status = Path(f"/proc/{slow.pid}/status").read_text()
        assert "T (stopped)" in status
