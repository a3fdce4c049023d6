"""ROUTER knows who asked, DEALER asks without waiting for its turn.

Sockets: DEALER is REQ without the lock-step, ROUTER is REP without it.
Messages: ROUTER puts the identity of the sender in front of what it
receives, and sends to the identity that stands in front of what it is given.
Why: a broker, a server that answers late or out of turn, a peer that must
be addressed by name. Sources: Guide, chapter 3, "Advanced Request-Reply
Patterns"; libzmq documentation, zmq_socket; libzmq's issue tracker, 2892.
"""

from collections import Counter, deque
from collections.abc import Callable

import pytest
import zmq

from tests.patterns.helpers import (
    InThread,
    bind_anywhere,
    is_silent,
    sockets,
    watch,
)

READY = b"READY"
CLIENTS, WORKERS = "inproc://clients", "inproc://workers"


def broker(context: zmq.SyncContext, clients: str, workers: str) -> None:
    """Deal requests to workers, and bring replies back to who asked."""
    with (
        context.socket(zmq.ROUTER) as frontend,
        context.socket(zmq.DEALER) as backend,
    ):
        frontend.bind(clients)
        backend.bind(workers)
        zmq.proxy(frontend, backend)


def work(context: zmq.SyncContext, workers: str, name: bytes) -> None:
    """A worker of the broker: a plain REP that connects."""
    with context.socket(zmq.REP) as worker:
        worker.connect(workers)
        while True:
            worker.send(worker.recv() + b" done by " + name)


def broker_for_the_idle(
    context: zmq.SyncContext, clients: str, workers: str
) -> None:
    """Give each request to the worker that is idle for the longest time."""
    with (
        context.socket(zmq.ROUTER) as frontend,
        context.socket(zmq.ROUTER) as backend,
    ):
        frontend.bind(clients)
        backend.bind(workers)
        poller, idle = zmq.Poller(), deque[bytes]()
        poller.register(backend, zmq.POLLIN)
        while True:
            poller.register(frontend, zmq.POLLIN if idle else 0)
            ready = dict(poller.poll())
            if frontend in ready:
                request = frontend.recv_multipart()
                backend.send_multipart([idle.popleft(), b"", *request])
            if backend in ready:
                worker, _, *reply = backend.recv_multipart()
                idle.append(worker)
                if reply != [READY]:
                    frontend.send_multipart(reply)


def work_when_idle(
    context: zmq.SyncContext, workers: str, name: bytes
) -> None:
    """Ask for work, as a REQ whose first request is READY."""
    with context.socket(zmq.REQ) as worker:
        worker.connect(workers)
        worker.send(READY)
        while True:
            *client, request = worker.recv_multipart()
            reply = request + b" done by " + name
            worker.send_multipart([*client, reply])


@pytest.mark.parametrize(
    ("kind", "envelope"), [(zmq.REQ, [b""]), (zmq.DEALER, [])]
)
def test_a_router_sees_the_envelope(
    context: zmq.SyncContext, kind: int, envelope: list[bytes]
) -> None:
    """ROUTER receives identity and body, from a REQ with an empty frame."""
    with sockets(context, zmq.ROUTER, kind) as (router, client):
        client.identity = b"client 7"
        client.connect(bind_anywhere(router))
        client.send(b"question")
        identity, *rest = router.recv_multipart()
        assert (identity, rest) == (b"client 7", [*envelope, b"question"])
        router.send_multipart([b"client 7", *envelope, b"answer"])
        assert client.recv_multipart() == [b"answer"]  # REQ opened it


def test_each_hop_adds_an_identity_to_the_envelope(
    context: zmq.SyncContext,
) -> None:
    """Each ROUTER on the way adds an identity, and the way back takes one."""
    opened = sockets(context, zmq.REQ, zmq.ROUTER, zmq.DEALER, zmq.ROUTER)
    with opened as (client, frontend, backend, server):
        client.identity, backend.identity = b"client", b"broker"
        client.connect(bind_anywhere(frontend))
        backend.connect(bind_anywhere(server))
        client.send(b"question")
        request = frontend.recv_multipart()
        assert request == [b"client", b"", b"question"]
        backend.send_multipart(request)
        request = server.recv_multipart()
        assert request == [b"broker", b"client", b"", b"question"]
        server.send_multipart([*request[:-1], b"answer"])
        reply = backend.recv_multipart()
        assert reply == [b"client", b"", b"answer"]
        frontend.send_multipart(reply)
        assert client.recv_multipart() == [b"answer"]


def test_a_router_addresses_a_peer_by_its_identity(
    context: zmq.SyncContext,
) -> None:
    """ROUTER sends to the peer it names, in any order, not round robin."""
    opened = sockets(context, zmq.ROUTER, *[zmq.DEALER] * 3)
    with opened as (router, ann, bob, cat):
        endpoint = bind_anywhere(router)
        for name, peer in ((b"ann", ann), (b"bob", bob), (b"cat", cat)):
            peer.identity = name
            peer.connect(endpoint)
            peer.send(b"here I am")
            assert router.recv_multipart() == [name, b"here I am"]
        for name in (b"bob", b"bob", b"ann", b"bob"):
            router.send_multipart([name, b"for " + name])
        assert ann.recv() == b"for ann"
        assert [bob.recv() for _ in range(3)] == [b"for bob"] * 3
        assert is_silent(cat)


def test_a_router_drops_what_it_cannot_route(
    context: zmq.SyncContext,
) -> None:
    """ROUTER drops what is for an unknown peer; ROUTER_MANDATORY says so."""
    with sockets(context, zmq.ROUTER, zmq.DEALER) as (router, known):
        known.identity = b"known"
        known.connect(bind_anywhere(router))
        known.send(b"hello")
        router.recv_multipart()
        router.send_multipart([b"unknown", b"lost"])  # no error
        router.send_multipart([b"known", b"found"])
        assert known.recv() == b"found"

        router.router_mandatory = True
        with pytest.raises(zmq.ZMQError) as error:
            router.send_multipart([b"unknown", b"refused"])
    assert error.value.errno == zmq.EHOSTUNREACH


def test_a_dealer_asks_again_before_it_is_answered(
    context: zmq.SyncContext,
) -> None:
    """DEALER and ROUTER have no lock-step: ask thrice, answer backwards."""
    with sockets(context, zmq.ROUTER, zmq.DEALER) as (server, client):
        client.connect(bind_anywhere(server))
        for number in (b"1", b"2", b"3"):
            client.send(number)
        requests = [server.recv_multipart() for _ in range(3)]
        for request in reversed(requests):
            server.send_multipart(request)
        assert [client.recv() for _ in range(3)] == [b"3", b"2", b"1"]


@pytest.mark.parametrize(
    ("serve", "worker"),
    [(broker, work), (broker_for_the_idle, work_when_idle)],
    ids=["blind", "idle"],
)
def test_a_broker_shares_requests_among_its_workers(
    context: zmq.SyncContext,
    in_thread: InThread,
    serve: Callable[..., None],
    worker: Callable[..., None],
) -> None:
    """A ROUTER and a DEALER make a broker: many clients share N workers."""
    in_thread(serve, context, CLIENTS, WORKERS)
    for name in (b"ann", b"bob", b"cat"):
        in_thread(worker, context, WORKERS, name)
    with sockets(context, *[zmq.REQ] * 5) as clients:
        for client in clients:
            client.connect(CLIENTS)
        done = Counter[bytes]()
        while len(done) < 3 or done.total() < 100:
            for number, client in enumerate(clients):
                client.send(b"%d" % number)
            for number, client in enumerate(clients):
                task, _, name = client.recv().partition(b" done by ")
                assert task == b"%d" % number  # never somebody else's
                done[name] += 1
            assert done.total() < 100_000, "a worker gets nothing"


@pytest.mark.parametrize(
    ("serve", "kind", "share"),
    [(broker, zmq.REP, 5), (broker_for_the_idle, zmq.REQ, 9)],
    ids=["blind", "idle"],
)
def test_a_broker_that_knows_who_is_idle_does_not_wait_for_the_slow(
    context: zmq.SyncContext,
    in_thread: InThread,
    serve: Callable[..., None],
    kind: int,
    share: int,
) -> None:
    """A broker of idle workers gives a slow one 1 of 10, not 5 of 10."""
    with (
        sockets(context, kind, kind) as (fast, slow),
        sockets(context, *[zmq.REQ] * 10) as clients,
    ):
        for worker in (fast, slow):
            worker.connect(WORKERS)
            if kind == zmq.REQ:
                worker.send(READY)
        in_thread(serve, context, CLIENTS, WORKERS)
        for client in clients:
            client.connect(CLIENTS)
            client.send(b"task")
        first = slow.recv_multipart()  # and this one takes very long
        for _ in range(share):
            fast.send_multipart(fast.recv_multipart())
        assert is_silent(fast)

        slow.send_multipart(first)
        for _ in range(10 - share - 1):
            slow.send_multipart(slow.recv_multipart())
        assert [client.recv() for client in clients] == [b"task"] * 10
        if kind == zmq.REQ:  # the fast one is idle for the longer time
            clients[0].send(b"next")
            assert fast.recv_multipart()[-1] == b"next"


@pytest.mark.parametrize("probe", [False, True], ids=["trap", "cure"])
def test_a_router_cannot_speak_first(
    context: zmq.SyncContext, probe: bool
) -> None:
    """ROUTER cannot speak first, unless PROBE_ROUTER introduces the peer."""
    with (
        sockets(context, zmq.ROUTER, zmq.DEALER) as (router, silent),
        watch(router) as monitor,
    ):
        silent.probe_router = probe
        silent.connect(bind_anywhere(router))
        monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        if not probe:
            assert is_silent(router)  # so there is no identity to send to
        else:
            identity, empty = router.recv_multipart()
            assert (len(identity), identity[0], empty) == (5, 0, b"")
            router.send_multipart([identity, b"your first task"])
            assert silent.recv() == b"your first task"


@pytest.mark.parametrize("handover", [False, True], ids=["trap", "cure"])
@pytest.mark.parametrize("left", [False, True], ids=["twin", "restart"])
def test_a_restarted_peer_is_a_second_peer_of_the_same_name(
    context: zmq.SyncContext, left: bool, handover: bool
) -> None:
    """A peer that restarts with its name is ignored, or with HANDOVER heard.

    A busy ROUTER has not noticed that the first one left, and waits for it.
    """
    with (
        sockets(context, zmq.ROUTER, zmq.DEALER, zmq.DEALER) as three,
        watch(three[0]) as monitor,
    ):
        router, first, second = three
        router.router_handover = handover
        endpoint = bind_anywhere(router)
        first.identity = second.identity = b"worker"
        first.connect(endpoint)
        first.send(b"one")
        assert router.recv_multipart() == [b"worker", b"one"]
        if left:
            first.close()
            monitor.wait_for(zmq.EVENT_DISCONNECTED)
        second.connect(endpoint)
        monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED, times=2 - left)
        for message in (b"two", b"three"):  # so far ROUTER was not called
            second.send(message)
            if handover:
                assert router.recv_multipart() == [b"worker", message]
            else:
                assert is_silent(router, for_s=0.2)
        if not left:
            router.send_multipart([b"worker", b"hello"])
            assert (second if handover else first).recv() == b"hello"
