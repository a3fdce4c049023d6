"""One asks and one answers, in strict turns.

Sockets: REP binds, REQ connects. Messages: one request, one reply, any
number of frames. Why: the simplest remote call there is. Its price is the
lock-step, and a REQ whose server died waits for ever, unless the client is
a Lazy Pirate. Sources: Guide, chapter 4, "Client-Side Reliability"; libzmq
documentation, zmq_socket.
"""

import time
from contextlib import suppress

import pytest
import zmq

from tests.patterns.helpers import (
    PATIENCE_S,
    InThread,
    Spawn,
    bind_anywhere,
    is_silent,
    kill,
    sockets,
    watch,
)


def serve(context: zmq.SyncContext, endpoint: str) -> None:
    """Answer every request with its text in capitals."""
    with context.socket(zmq.REP) as server:
        server.bind(endpoint)
        while True:
            server.send(server.recv().upper())


def ask(
    context: zmq.SyncContext,
    endpoint: str,
    request: bytes,
    timeout_s: float = 0.2,
    tries: int = 50,
) -> bytes:
    """Ask until somebody answers: the Lazy Pirate.

    Raises TimeoutError when none of the `tries` was answered in its
    `timeout_s`. The server may see the request more than once.
    """
    for _ in range(tries):
        # A REQ that waits for a lost reply can do nothing else: take a new
        # one, which also never hears a late reply to the old request.
        with context.socket(zmq.REQ) as client, suppress(zmq.Again):
            client.linger = 0
            client.connect(endpoint)
            client.send(request)
            if client.poll(int(timeout_s * 1000)):
                return client.recv(zmq.DONTWAIT)  # see the last test
    raise TimeoutError(f"no reply from {endpoint} in {tries} tries")


def hold(context: zmq.SyncContext, endpoint: str) -> None:
    """A server that has taken a request and will not answer it."""
    with context.socket(zmq.REP) as server:
        server.bind(endpoint)
        server.recv()
        print("HOLDING", flush=True)
        server.poll()  # until it is killed


def test_a_request_gets_its_reply(
    context: zmq.SyncContext, endpoint: str, in_thread: InThread
) -> None:
    """A request gets its reply."""
    in_thread(serve, context, endpoint)
    with context.socket(zmq.REQ) as client:
        client.connect(endpoint)
        client.send(b"ping")
        assert client.recv() == b"PING"


def test_the_requester_must_take_turns(context: zmq.SyncContext) -> None:
    """A REQ that sends twice, or receives first, gets EFSM."""
    with sockets(context, zmq.REP, zmq.REQ) as (server, client):
        client.connect(bind_anywhere(server))
        with pytest.raises(zmq.ZMQError) as too_early:
            client.recv()
        client.send(b"first")
        with pytest.raises(zmq.ZMQError) as too_often:
            client.send(b"second")
        assert server.recv() == b"first"  # and it may go on from here
        server.send(b"reply")
        assert client.recv() == b"reply"
    assert too_early.value.errno == too_often.value.errno == zmq.EFSM


def test_the_replier_must_take_turns(context: zmq.SyncContext) -> None:
    """A REP that answers without a question, or twice, gets EFSM."""
    with sockets(context, zmq.REP, zmq.REQ) as (server, client):
        client.connect(bind_anywhere(server))
        with pytest.raises(zmq.ZMQError) as unasked:
            server.send(b"reply")
        client.send(b"request")
        assert server.recv() == b"request"
        server.send(b"reply")
        with pytest.raises(zmq.ZMQError) as twice:
            server.send(b"reply")
    assert unasked.value.errno == twice.value.errno == zmq.EFSM


@pytest.mark.parametrize(
    ("kind", "envelope"), [(zmq.REQ, []), (zmq.DEALER, [b""])]
)
def test_one_req_asks_many_reps_in_turn(
    context: zmq.SyncContext, kind: int, envelope: list[bytes]
) -> None:
    """One REQ, or DEALER, connected to three REPs asks them round robin."""
    with (
        context.socket(kind) as client,
        sockets(context, *[zmq.REP] * 3) as servers,
    ):
        for server in servers:
            client.connect(bind_anywhere(server))
        for number in range(9):
            client.send_multipart([*envelope, b"%d" % number])
            asked = servers[number % 3]
            assert asked.recv() == b"%d" % number
            asked.send(b"done")
            assert client.recv_multipart() == [*envelope, b"done"]


def test_many_reqs_share_one_rep(context: zmq.SyncContext) -> None:
    """Many REQs ask one REP at once and each gets its own reply."""
    with (
        context.socket(zmq.REP) as server,
        sockets(context, *[zmq.REQ] * 7) as clients,
    ):
        endpoint = bind_anywhere(server)
        for number, client in enumerate(clients):
            client.connect(endpoint)
            client.send(b"%d" % number)
        for _ in clients:
            server.send(b"for " + server.recv())
        for number, client in enumerate(clients):
            assert client.recv() == b"for %d" % number


def test_a_request_waits_in_the_queue_of_the_req(
    context: zmq.SyncContext, endpoint: str
) -> None:
    """REQ has a send queue: it asks before any server exists."""
    with sockets(context, zmq.REP, zmq.REQ) as (server, client):
        client.connect(endpoint)
        client.send(b"anybody there?")  # returns at once
        server.bind(endpoint)
        assert server.recv() == b"anybody there?"


def test_a_reply_waits_in_the_queue_of_the_req(
    context: zmq.SyncContext,
) -> None:
    """REQ has a receive queue: the reply is there after the server left."""
    with context.socket(zmq.REQ) as client:
        with context.socket(zmq.REP) as server:
            client.connect(bind_anywhere(server))
            client.send(b"request")
            server.recv()
            server.send(b"reply")
            assert client.poll(int(PATIENCE_S * 1000))
        assert client.recv() == b"reply"


def test_the_rep_keeps_replies_for_a_client_that_does_not_read(
    context: zmq.SyncContext,
) -> None:
    """REP has queues in both directions, so a lazy client holds up no one."""
    with sockets(context, zmq.REP, zmq.REQ, zmq.REQ) as (server, lazy, brisk):
        endpoint = bind_anywhere(server)
        lazy.connect(endpoint)
        lazy.send(b"lazy")
        server.send(server.recv() + b" reply")  # returns, though unread
        brisk.connect(endpoint)
        brisk.send(b"brisk")
        server.send(server.recv() + b" reply")
        assert brisk.recv() == b"brisk reply"
        assert lazy.recv() == b"lazy reply"


def test_a_plain_req_waits_for_ever_when_its_server_is_killed(
    context: zmq.SyncContext, endpoint: str, spawn: Spawn
) -> None:
    """A plain REQ whose server died is stuck, though a new server is up."""
    doomed = spawn(hold, endpoint)
    with context.socket(zmq.REQ) as client, watch(client) as monitor:
        client.connect(endpoint)
        client.send(b"ping")
        doomed.wait_for("HOLDING")
        kill(doomed)
        spawn(serve, endpoint)
        assert ask(context, endpoint, b"hello") == b"HELLO"
        monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED, times=2)
        assert is_silent(client)
        with pytest.raises(zmq.ZMQError) as error:
            client.send(b"ping")
    assert error.value.errno == zmq.EFSM


def test_the_lazy_pirate_survives_its_server(
    context: zmq.SyncContext,
    tcp_endpoint: str,
    spawn: Spawn,
    in_thread: InThread,
) -> None:
    """The Lazy Pirate asks again, and outlives a server killed by SIGKILL."""
    doomed = spawn(hold, tcp_endpoint)
    answer = in_thread(ask, context, tcp_endpoint, b"ping")
    doomed.wait_for("HOLDING")
    kill(doomed)
    spawn(serve, tcp_endpoint)
    assert answer.result(PATIENCE_S) == b"PING"


def test_the_lazy_pirate_gives_up(
    context: zmq.SyncContext, endpoint: str
) -> None:
    """Where nobody ever answers, the Lazy Pirate gives up and says so."""
    context.linger = -1  # the default, by which what it asked would stay
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="in 3 tries"):
        ask(context, endpoint, b"ping", timeout_s=0.05, tries=3)
    assert 0.12 <= time.monotonic() - began < PATIENCE_S


def test_a_retry_may_run_twice_and_a_late_reply_is_not_believed(
    context: zmq.SyncContext, in_thread: InThread
) -> None:
    """A retry may run twice, but a late reply never answers the retry."""
    with context.socket(zmq.REP) as server, watch(server) as monitor:
        endpoint = bind_anywhere(server)
        answer = in_thread(ask, context, endpoint, b"pay 5 euro")
        requests = [server.recv()]
        monitor.wait_for(zmq.EVENT_DISCONNECTED)  # the client gave up
        server.send(b"late reply")
        while not answer.done():
            if server.poll(50):
                requests.append(server.recv())
                server.send(b"reply")
        assert answer.result() == b"reply"
    assert len(requests) >= 2
    assert set(requests) == {b"pay 5 euro"}  # so requests should carry an id


def test_a_relaxed_req_may_ask_again_but_takes_nothing_back(
    context: zmq.SyncContext,
) -> None:
    """REQ_RELAXED may ask again, yet the server sees the old request too."""
    with sockets(context, zmq.ROUTER, zmq.REQ) as (server, client):
        client.req_relaxed = client.req_correlate = 1
        client.connect(bind_anywhere(server))
        client.send(b"first")
        old = server.recv_multipart()
        client.send(b"second")  # no EFSM
        new = server.recv_multipart()
        assert (old[-1], new[-1]) == (b"first", b"second")
        server.send_multipart([*old[:-1], b"late reply"])
        server.send_multipart([*new[:-1], b"reply"])
        assert client.recv() == b"reply"


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
def test_a_reply_without_an_envelope_is_no_reply(
    context: zmq.SyncContext,
    endpoint: str,
    in_thread: InThread,
    transport: str,
) -> None:
    """A reply without an envelope wakes a poll, and then a recv hangs.

    Over inproc only: tcp and ipc cut the connection. A recv that does not
    wait takes it for no reply.
    """
    place = endpoint if transport == "ipc" else "inproc://careless"

    def answer_carelessly() -> None:
        with context.socket(zmq.ROUTER) as server:
            server.bind(place)
            while True:
                client, *_ = server.recv_multipart()
                server.send_multipart([client, b"no empty frame"])

    in_thread(answer_carelessly)
    if transport == "inproc":
        with context.socket(zmq.REQ) as client:
            client.connect(place)
            client.send(b"hello")
            assert client.poll(int(PATIENCE_S * 1000))
            with pytest.raises(zmq.Again):
                client.recv(zmq.DONTWAIT)  # a plain recv waits for ever
    with pytest.raises(TimeoutError):
        ask(context, place, b"hello", timeout_s=0.1, tries=2)
