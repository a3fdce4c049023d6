"""Plain REQ is strict to the point of being stuck: the trap and the cure."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import zmq

from pingpong.client import Client, LostError, StoppedError, longest_pause
from pingpong.messages_pb2 import Ping, Pong
from pingpong.server import Tally, serve
from pingpong.support.stop import Stop
from tests.support import PATIENCE_S

DEADLINE_MS = int(PATIENCE_S * 1000)


@pytest.fixture
def stop() -> Iterator[Stop]:
    with Stop() as stop:
        yield stop


@pytest.fixture
def rep(context: zmq.SyncContext) -> Iterator[zmq.SyncSocket]:
    """A REP socket that answers only when a test tells it to."""
    with context.socket(zmq.REP) as rep:
        rep.linger = 0
        rep.rcvtimeo = DEADLINE_MS
        rep.bind("inproc://server")
        yield rep


def test_plain_req_may_not_ask_twice_and_so_is_stuck(
    context: zmq.SyncContext, rep: zmq.SyncSocket
) -> None:
    with context.socket(zmq.REQ) as req:
        req.linger = 0
        req.connect("inproc://server")
        req.send(b"anyone?")
        assert rep.recv() == b"anyone?"
        # The server died here: no reply, now or ever. Try once more?
        with pytest.raises(zmq.ZMQError) as refused:
            req.send(b"anyone?")
        assert refused.value.errno == zmq.EFSM
        assert not req.poll(50)  # and there is nothing to receive either


def test_poll_may_promise_what_rep_then_drops_and_recv_waits_for_ever(
    context: zmq.SyncContext, rep: zmq.SyncSocket
) -> None:
    with context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.connect("inproc://server")
        dealer.send(b"no empty frame before me, so no envelope")
        assert rep.poll(DEADLINE_MS) == zmq.POLLIN
        with pytest.raises(zmq.Again):  # a plain recv would now hang
            rep.recv(zmq.DONTWAIT)


def test_the_server_can_still_be_stopped_after_that(
    context: zmq.SyncContext, rep: zmq.SyncSocket, stop: Stop
) -> None:
    with context.socket(zmq.DEALER) as dealer, ThreadPoolExecutor(1) as pool:
        dealer.linger = 0
        dealer.connect("inproc://server")
        dealer.send(b"no envelope")
        serving = pool.submit(serve, rep, stop)
        assert not stop.wait(0.2)  # time for the server to walk into it
        stop.set()
        try:
            assert serving.result(PATIENCE_S / 3) == Tally()
        finally:  # were it stuck, this would free it
            dealer.send_multipart([b"", b"whatever"])


def test_a_new_socket_may_ask_again_and_the_late_answer_is_nobodys(
    context: zmq.SyncContext, rep: zmq.SyncSocket, stop: Stop
) -> None:
    gave_up = Event()

    def late_then_prompt() -> list[int]:
        first = Ping.FromString(rep.recv())
        assert gave_up.wait(PATIENCE_S)
        rep.send(Pong(id=first.id, error="late").SerializeToString())
        second = Ping.FromString(rep.recv())
        rep.send(Pong(id=second.id).SerializeToString())
        return [first.id, second.id]

    with (
        ThreadPoolExecutor(1) as pool,
        Client(
            *(context, "inproc://server", stop),
            timeout=0.5,
            retries=100,
            on_retry=lambda _: gave_up.set(),
        ) as client,
    ):
        served = pool.submit(late_then_prompt)
        assert client.ask(Ping(id=42)) == Pong(id=42)
        assert served.result(PATIENCE_S) == [42, 42]  # it is the same ping
        assert client.retried >= 1


def test_the_pauses_between_tries_grow_up_to_a_limit() -> None:
    pauses = [longest_pause(failed) for failed in (1, 2, 3, 4, 5, 6, 10**6)]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_a_stop_ends_the_pause_as_well_as_the_poll(
    context: zmq.SyncContext, stop: Stop
) -> None:
    def give_up(_attempt: int) -> None:
        raise AssertionError("it asked again although it had been stopped")

    with Client(
        context, "inproc://nobody", stop, timeout=0.01, on_retry=give_up
    ) as client:
        stop.set()
        with pytest.raises(StoppedError):
            client.pause(failed=10)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ([b"\xff\xff"], "is not a Pong"),
        ([b"", b""], "is not a Pong"),
        ([b""], "is for another ping"),
        ([Pong(id=41).SerializeToString()], "is for another ping"),
        ([Pong(id=42, payload=b"x").SerializeToString()], "another payload"),
        ([Pong(error="no, thanks").SerializeToString()], "'no, thanks'"),
    ],
    ids=["garbage", "two frames", "empty", "other id", "payload", "error"],
)
def test_an_answer_that_is_not_the_pong_loses_the_ping_with_a_reason(
    context: zmq.SyncContext,
    rep: zmq.SyncSocket,
    stop: Stop,
    reply: list[bytes],
    reason: str,
) -> None:
    def serve_twice() -> None:
        rep.recv()
        rep.send_multipart(reply)
        ping = Ping.FromString(rep.recv())
        rep.send(Pong(id=ping.id).SerializeToString())

    with (
        ThreadPoolExecutor(1) as pool,
        Client(
            *(context, "inproc://server", stop), timeout=PATIENCE_S
        ) as client,
    ):
        served = pool.submit(serve_twice)
        with pytest.raises(LostError, match=reason):
            client.ask(Ping(id=42))
        assert client.ask(Ping(id=43)) == Pong(id=43)  # and life goes on
        served.result(PATIENCE_S)
