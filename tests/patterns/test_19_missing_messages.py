"""A missing message has a cause, and each cause has a symptom and a cure.

The Guide's "Missing Message Problem Solver" as a table. Every row is a test
in two acts: the same messages are sent twice, and what arrives differs by
the cure alone.

Sockets: all of the pairs. Sources: Guide, chapter 2, "Missing Message
Problem Solver"; the other chapters, which show each cause at length.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import pytest
import zmq

from tests.patterns.helpers import (
    PATIENCE_S,
    bind_anywhere,
    is_silent,
    wait_until,
    watch,
)

SENT = [b"1", b"2", b"3"]


class Row(NamedTuple):
    """One way to lose messages, and how not to."""

    cause: str
    symptom: str
    cure: str


TABLE = {
    "no_subscription": Row(
        "a SUB that has not subscribed",
        "receives nothing, without an error",
        "subscribe: b'' is everything",
    ),
    "late_subscriber": Row(
        "a PUB that starts to send at once",
        "SUB misses the first messages",
        "start when XPUB has received the subscription",
    ),
    "slow_subscriber": Row(
        "a SUB slower than its PUB",
        "gaps in the middle, from the high-water mark on",
        "XPUB_NODROP, and wait while it says EAGAIN",
    ),
    "out_of_turn": Row(
        "REQ or REP called out of turn",
        "EFSM, which looks like loss when errors are ignored",
        "send, receive, send, receive; never ignore an error",
    ),
    "first_worker_takes_all": Row(
        "a PUSH that starts with its first worker",
        "the other workers get nothing",
        "count HANDSHAKE_SUCCEEDED before the first task",
    ),
    "forgotten_worker": Row(
        "an old worker still runs somewhere",
        "every second message is missing",
        "find it by its connection, and end it",
    ),
    "shared_socket": Row(
        "a socket used by two threads",
        "messages with each other's frames, crashes",
        "a socket for each thread",
    ),
    "two_contexts": Row(
        "inproc endpoints in two contexts",
        "nothing arrives, without an error",
        "one context for each process",
    ),
    "wrong_identity": Row(
        "a ROUTER that sends to nobody it knows",
        "the message is dropped, without an error",
        "ROUTER_MANDATORY, and the identity that came in",
    ),
    "missing_envelope": Row(
        "a DEALER that sends no empty frame to a REP",
        "the request is dropped, without an error",
        "put the empty frame before the request",
    ),
    "half_read_message": Row(
        "recv where a message has several frames",
        "every second message is something else",
        "recv_multipart",
    ),
    "too_large": Row(
        "a frame beyond the receiver's MAXMSGSIZE",
        "it never arrives; the connection is cut and made again",
        "send it in pieces, or raise the limit before the bind",
    ),
    "left_too_early": Row(
        "a program that ends with LINGER 0",
        "the last messages are missing",
        "a LINGER with a bound",
    ),
    "wrong_key": Row(
        "one side with CURVE, the other without",
        "nothing arrives, without an error",
        "read the socket's monitor; give both their keys",
    ),
    "option_too_late": Row(
        "a high-water mark raised after the bind",
        "who connects from then on still meets the old mark",
        "set options first",
    ),
}


def what_arrives(socket: zmq.SyncSocket, quiet_s: float = 0.1) -> list[bytes]:
    """Receive until nothing has come for a while: how a loss looks."""
    arrived = []
    with suppress(zmq.Again):  # what woke the poll was not for us
        while socket.poll(int(quiet_s * 1000)):
            arrived.append(socket.recv(zmq.DONTWAIT))
    return arrived


def wait_for(socket: zmq.SyncSocket, count: int) -> list[bytes]:
    """Receive so many messages, or raise zmq.Again: how to be sure."""
    return [socket.recv() for _ in range(count)]


def _send_all(socket: zmq.SyncSocket) -> None:
    for message in SENT:
        socket.send(message)


def test_every_row_of_the_table_has_its_test() -> None:
    """The table has a row for each test here, and a test for each row."""
    tests = {
        name.removeprefix("test_missing_")
        for name in globals()
        if name.startswith("test_missing_")
    }
    assert tests == set(TABLE)


def test_missing_no_subscription(context: zmq.SyncContext) -> None:
    """A SUB receives nothing until it has subscribed."""
    with context.socket(zmq.XPUB) as pub, context.socket(zmq.SUB) as sub:
        pub.bind("inproc://table")
        sub.connect("inproc://table")
        _send_all(pub)
        assert what_arrives(sub) == []

        sub.subscribe(b"")
        pub.recv()
        _send_all(pub)
        assert wait_for(sub, 3) == SENT


def test_missing_late_subscriber(context: zmq.SyncContext) -> None:
    """A PUB that does not wait for the subscription talks to nobody."""
    with context.socket(zmq.XPUB) as pub, context.socket(zmq.SUB) as sub:
        endpoint = bind_anywhere(pub)
        sub.subscribe(b"")
        _send_all(pub)
        sub.connect(endpoint)
        assert what_arrives(sub) == []

        assert pub.recv() == b"\x01"
        _send_all(pub)
        assert wait_for(sub, 3) == SENT


def test_missing_slow_subscriber(context: zmq.SyncContext) -> None:
    """PUB drops what is beyond the high-water mark; XPUB_NODROP refuses."""
    numbers = [b"%d" % number for number in range(10)]
    with context.socket(zmq.XPUB) as pub, context.socket(zmq.SUB) as sub:
        pub.sndhwm = sub.rcvhwm = 2
        pub.bind("inproc://table")
        sub.connect("inproc://table")
        sub.subscribe(b"")
        pub.recv()
        for number in numbers:
            pub.send(number)
        assert what_arrives(sub) == numbers[:4], "two queues of two"

        pub.xpub_nodrop = True
        arrived = []
        for number in numbers:
            while True:
                try:
                    pub.send(number, zmq.DONTWAIT)
                    break
                except zmq.Again:
                    arrived += what_arrives(sub, quiet_s=0.01)
        assert arrived + what_arrives(sub) == numbers


def test_missing_out_of_turn(context: zmq.SyncContext) -> None:
    """Who ignores EFSM has sent one request and believes it was three."""
    with context.socket(zmq.REQ) as req, context.socket(zmq.REP) as rep:
        rep.bind("inproc://table")
        req.connect("inproc://table")
        for message in SENT:
            with suppress(zmq.ZMQError):  # the mistake
                req.send(message)
        assert wait_for(rep, 1) == SENT[:1]
        assert is_silent(rep)
        rep.send(b"")
        req.recv()

        arrived = []
        for message in SENT:
            req.send(message)
            arrived.append(rep.recv())
            rep.send(b"")
            req.recv()
        assert arrived == SENT


def test_missing_first_worker_takes_all(context: zmq.SyncContext) -> None:
    """A PUSH shares out evenly only among those who are connected."""
    with (
        context.socket(zmq.PUSH) as push,
        context.socket(zmq.PULL) as early,
        context.socket(zmq.PULL) as late,
        watch(push) as monitor,
    ):
        endpoint = bind_anywhere(push)
        early.connect(endpoint)
        monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        for _ in range(2):
            _send_all(push)
        late.connect(endpoint)
        monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        assert wait_for(early, 6) == SENT * 2
        assert what_arrives(late) == []

        for _ in range(2):
            _send_all(push)
        assert len(wait_for(early, 3)) == len(wait_for(late, 3))


def test_missing_forgotten_worker(context: zmq.SyncContext) -> None:
    """An old worker that still runs takes every second message."""
    with (
        context.socket(zmq.PUSH) as push,
        context.socket(zmq.PULL) as old,
        context.socket(zmq.PULL) as new,
        watch(push) as monitor,
    ):
        endpoint = bind_anywhere(push)
        old.connect(endpoint)
        new.connect(endpoint)
        monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED, times=2)
        for _ in range(2):
            _send_all(push)
        assert len(wait_for(new, 3)) == 3, "half of them"
        assert is_silent(new)

        old.close()
        monitor.wait_for(zmq.EVENT_DISCONNECTED)

        def all_arrive() -> bool:
            _send_all(push)
            return what_arrives(new) == SENT

        wait_until(all_arrive, "the old worker gets no more messages")


def test_missing_shared_socket(context: zmq.SyncContext) -> None:
    """Two threads in one socket put frames into each other's messages."""

    def run(*steps: Callable[[], object]) -> None:
        for step in steps:  # one after the other: no race is needed
            thread = threading.Thread(target=step)
            thread.start()
            thread.join(PATIENCE_S)

    with (
        context.socket(zmq.PULL) as pull,
        context.socket(zmq.PUSH) as mine,
        context.socket(zmq.PUSH) as yours,
    ):
        pull.bind("inproc://table")
        mine.connect("inproc://table")
        yours.connect("inproc://table")
        run(
            lambda: mine.send(b"A", zmq.SNDMORE),
            lambda: mine.send(b"B"),
            lambda: mine.send(b"A"),
        )
        assert pull.recv_multipart() == [b"A", b"B"]
        assert pull.recv_multipart() == [b"A"]

        run(
            lambda: mine.send(b"A", zmq.SNDMORE),
            lambda: yours.send(b"B"),
            lambda: mine.send(b"A"),
        )
        received = [pull.recv_multipart() for _ in range(2)]
        assert sorted(received) == [[b"A", b"A"], [b"B"]]


def test_missing_two_contexts(
    new_context: Callable[[], zmq.SyncContext],
) -> None:
    """An inproc endpoint exists only in the context that bound it."""
    context, another = new_context(), new_context()
    with (
        context.socket(zmq.PULL) as pull,
        another.socket(zmq.PUSH) as astray,
        context.socket(zmq.PUSH) as push,
    ):
        pull.bind("inproc://table")
        astray.connect("inproc://table")
        _send_all(astray)
        assert what_arrives(pull) == []

        push.connect("inproc://table")
        _send_all(push)
        assert wait_for(pull, 3) == SENT


def test_missing_wrong_identity(context: zmq.SyncContext) -> None:
    """ROUTER takes the first frame for an identity, and drops strangers."""
    with (
        context.socket(zmq.ROUTER) as router,
        context.socket(zmq.DEALER) as peer,
    ):
        router.bind("inproc://table")
        peer.connect("inproc://table")
        peer.send(b"hello")
        identity, _ = router.recv_multipart()
        _send_all(router)  # without the identity: the mistake
        assert what_arrives(peer) == []

        router.router_mandatory = True
        with pytest.raises(zmq.ZMQError):
            router.send_multipart([b"", SENT[0]])
        for message in SENT:
            router.send_multipart([identity, message])
        assert wait_for(peer, 3) == SENT


def test_missing_missing_envelope(context: zmq.SyncContext) -> None:
    """REP drops a request that has no empty frame before it."""
    with context.socket(zmq.DEALER) as dealer, context.socket(zmq.REP) as rep:
        rep.bind("inproc://table")
        dealer.connect("inproc://table")
        _send_all(dealer)
        assert what_arrives(rep) == []

        arrived = []
        for message in SENT:
            dealer.send_multipart([b"", message])
            arrived.append(rep.recv())
            rep.send(b"")
        assert arrived == SENT


def test_missing_half_read_message(context: zmq.SyncContext) -> None:
    """Who reads frame by frame takes the second for a message."""
    with context.socket(zmq.PUSH) as push, context.socket(zmq.PULL) as pull:
        pull.bind("inproc://table")
        push.connect("inproc://table")
        for message in SENT:
            push.send_multipart([b"header", message])
        assert wait_for(pull, 3) == [b"header", SENT[0], b"header"]
        what_arrives(pull)

        for message in SENT:
            push.send_multipart([b"header", message])
        assert [pull.recv_multipart()[1] for _ in SENT] == SENT


def test_missing_too_large(context: zmq.SyncContext) -> None:
    """A frame beyond MAXMSGSIZE never arrives, and nobody says so."""
    pages = [message * 50 for message in SENT]
    with (
        context.socket(zmq.PULL) as pull,
        context.socket(zmq.PUSH) as push,
        watch(push) as monitor,
    ):
        pull.maxmsgsize = 100
        push.connect(bind_anywhere(pull))
        push.send(b"".join(pages))
        monitor.wait_for(zmq.EVENT_DISCONNECTED)
        monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        assert what_arrives(pull) == []

        push.send_multipart(pages)
        assert pull.recv_multipart() == pages


def test_missing_left_too_early(
    new_context: Callable[[], zmq.SyncContext], endpoint: str
) -> None:
    """LINGER 0 throws away what has not been delivered yet."""

    def send_and_leave(linger_ms: int) -> zmq.SyncContext:
        context = new_context()
        with context.socket(zmq.PUSH) as push:
            push.linger = linger_ms
            push.connect(endpoint)
            _send_all(push)
        return context

    with new_context().socket(zmq.PULL) as pull:
        send_and_leave(linger_ms=0).term()
        pull.bind(endpoint)
        assert what_arrives(pull) == []

        send_and_leave(linger_ms=int(PATIENCE_S * 1000))
        assert wait_for(pull, 3) == SENT


def test_missing_wrong_key(context: zmq.SyncContext) -> None:
    """A peer without CURVE gets nothing through to one that has it."""
    public, secret = zmq.curve_keypair()
    with (
        context.socket(zmq.PULL) as pull,
        context.socket(zmq.PUSH) as plain,
        context.socket(zmq.PUSH) as keyed,
        watch(plain) as monitor,
    ):
        pull.curve_server = True
        pull.curve_secretkey = secret
        endpoint = bind_anywhere(pull)
        plain.sndtimeo = 0
        plain.connect(endpoint)
        with suppress(zmq.Again):  # refused already: no queue is left
            _send_all(plain)
        monitor.wait_for(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
        assert what_arrives(pull) == []

        keyed.curve_serverkey = public
        keyed.curve_publickey, keyed.curve_secretkey = zmq.curve_keypair()
        keyed.connect(endpoint)
        _send_all(keyed)
        assert wait_for(pull, 3) == SENT


@pytest.mark.parametrize(
    ("raised", "arrived"),
    # The old marks are 1,000 on either side.
    [("after the bind", 2_000), ("first", 3_000), ("at the end", 3_000)],
)
def test_missing_option_too_late(
    context: zmq.SyncContext, raised: str, arrived: int
) -> None:
    """A high-water mark set after the bind misses who connects later.

    Since libzmq 4.2 it does reach who is connected already.
    """
    with context.socket(zmq.XPUB) as pub, context.socket(zmq.SUB) as sub:
        if raised == "first":
            pub.sndhwm = 0  # no limit
        pub.bind("inproc://table")
        if raised == "after the bind":
            pub.sndhwm = 0
        sub.subscribe(b"")
        sub.connect("inproc://table")
        pub.recv()
        if raised == "at the end":
            pub.sndhwm = 0
        for _ in range(1_000):
            _send_all(pub)
        assert len(what_arrives(sub)) == arrived
