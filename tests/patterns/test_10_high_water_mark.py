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
from functools import partial

import pytest
import zmq

from tests.patterns.helpers import (
    PATIENCE_S,
    bind_anywhere,
    is_silent,
    sockets,
)

MARK = 5
QUEUE = "inproc://queue"
DROP: dict[int, int] = {
    zmq.PUB: zmq.SUB,
    zmq.XPUB: zmq.XSUB,
    zmq.XSUB: zmq.XPUB,
    zmq.ROUTER: zmq.DEALER,
}
BLOCK: dict[int, int] = {
    zmq.PUSH: zmq.PULL,
    zmq.DEALER: zmq.ROUTER,
    zmq.PAIR: zmq.PAIR,
    zmq.REQ: zmq.ROUTER,
}
by_name = partial(pytest.mark.parametrize, ids=lambda kind: kind.name)


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


@contextmanager
def _joined(
    context: zmq.SyncContext, sender: int, mark: int = MARK
) -> Iterator[tuple[zmq.SyncSocket, zmq.SyncSocket]]:
    """A bound sender and a connected receiver, each with the same mark."""
    receiver = (DROP | BLOCK)[sender]
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


@by_name("sender", DROP)
def test_these_drop_at_the_mark(
    context: zmq.SyncContext, sender: int
) -> None:
    """PUB, XPUB, XSUB and ROUTER drop what is above the mark in silence."""
    with _joined(context, sender) as (out, into):
        assert fill(out, _message(sender), limit=100) == 100
        assert empty(into) == 2 * MARK
        assert fill(out, _message(sender), limit=1) == 1
        assert empty(into) == 1  # for now there is room again


@by_name("sender", BLOCK)
def test_these_block_at_the_mark(
    context: zmq.SyncContext, sender: int
) -> None:
    """PUSH, DEALER, REQ and PAIR block at the mark and lose nothing."""
    with _joined(context, sender) as (out, into):
        if sender == zmq.REQ:  # else its lock-step stops it long before
            out.req_relaxed = True
        assert fill(out, [b"message"], limit=100) == 2 * MARK
        out.sndtimeo = 20
        with pytest.raises(zmq.Again):
            out.send(b"message")  # waits, and after 20 ms gives up
        assert empty(into) == 2 * MARK


@by_name("sender", DROP | BLOCK)
def test_without_a_peer_these_do_what_they_do_at_the_mark(
    context: zmq.SyncContext, sender: int
) -> None:
    """Those that block also block while no peer has come; the others drop."""
    with context.socket(sender) as out:
        out.bind(QUEUE)
        taken = fill(out, _message(sender), limit=100)
    assert taken == (100 if sender in DROP else 0)


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
    with _joined(context, zmq.PUB) as (publisher, subscriber):
        for number in range(100):
            publisher.send(b"%d" % number)
        kept = [int(subscriber.recv()) for _ in range(2 * MARK)]
        assert kept == list(range(2 * MARK))


@pytest.mark.parametrize(
    ("sender", "option"),
    [(zmq.XPUB, "xpub_nodrop"), (zmq.ROUTER, "router_mandatory")],
)
def test_an_option_says_what_would_be_dropped(
    context: zmq.SyncContext, sender: int, option: str
) -> None:
    """With XPUB_NODROP or ROUTER_MANDATORY these block at the mark, too."""
    with _joined(context, sender) as (out, into):
        setattr(out, option, True)
        assert fill(out, _message(sender), limit=100) == 2 * MARK
        assert empty(into) == 2 * MARK


@pytest.mark.parametrize(
    "frames",
    [[b""], [b"x" * 1_000_000], [b"a", b"message", b"of four", b"frames"]],
    ids=["empty", "a megabyte", "four frames"],
)
def test_the_mark_counts_messages(
    context: zmq.SyncContext, frames: list[bytes]
) -> None:
    """The mark counts messages, neither their bytes nor their frames."""
    with _joined(context, zmq.PUSH) as (out, _):
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
        _joined(context, zmq.PUSH) as (out, _),
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


@pytest.mark.parametrize(("mark", "taken"), [(1000, 2000), (0, 10_000)])
def test_the_default_mark_is_a_thousand(
    context: zmq.SyncContext, mark: int, taken: int
) -> None:
    """By default the mark is 1000 at each end, and 0 means no limit."""
    with sockets(context, zmq.PUSH, zmq.PULL) as (out, into):
        assert out.sndhwm == into.rcvhwm == 1000
        out.sndhwm = into.rcvhwm = mark
        out.bind(QUEUE)
        into.connect(QUEUE)
        assert fill(out, [b"message"], limit=10_000) == taken


def test_a_queue_opens_again_at_its_low_water_mark(
    context: zmq.SyncContext,
) -> None:
    """A full queue takes messages again once half of it was read."""
    with _joined(context, zmq.PUSH) as (out, into):
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
