"""ROUTER knows who asked, DEALER asks without waiting for its turn.

Sockets: DEALER is REQ without the lock-step, ROUTER is REP without it.
Messages: ROUTER puts the identity of the sender in front of what it
receives, and sends to the identity that stands in front of what it is given.
Why: a broker, a server that answers late or out of turn, a peer that must
be addressed by name. Sources: Guide, chapter 3, "Advanced Request-Reply
Patterns"; libzmq documentation, zmq_socket; libzmq's issue tracker, 2892.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import ExitStack

import pytest
import zmq

from tests.patterns.helpers import (
    PATIENCE_S,
    InThread,
    bind_anywhere,
    is_silent,
    watch,
)

READY = b"READY"


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
    context: zmq.SyncContext, workers: str, do: Callable[[bytes], bytes]
) -> None:
    """A worker that asks for work: a REQ whose first request is READY.

    What it has when it dies is lost, so clients ask again (chapter 1).
    """
    with context.socket(zmq.REQ) as worker:
        worker.connect(workers)
        worker.send(READY)
        while True:
            *client, request = worker.recv_multipart()
            worker.send_multipart([*client, do(request)])


def test_a_router_sees_the_envelope_of_a_req(
    context: zmq.SyncContext,
) -> None:
    """From a REQ, ROUTER receives identity, empty delimiter and body."""
    with (
        context.socket(zmq.ROUTER) as router,
        context.socket(zmq.REQ) as client,
    ):
        client.identity = b"client 7"
        client.connect(bind_anywhere(router))
        client.send(b"question")
        assert router.recv_multipart() == [b"client 7", b"", b"question"]
        router.send_multipart([b"client 7", b"", b"answer"])
        assert client.recv_multipart() == [b"answer"]  # REQ opened it


def test_a_dealer_sends_no_delimiter(context: zmq.SyncContext) -> None:
    """From a DEALER, ROUTER receives the identity and the bare frames."""
    with (
        context.socket(zmq.ROUTER) as router,
        context.socket(zmq.DEALER) as client,
    ):
        client.identity = b"client 7"
        client.connect(bind_anywhere(router))
        client.send_multipart([b"two", b"frames"])
        assert router.recv_multipart() == [b"client 7", b"two", b"frames"]
        router.send_multipart([b"client 7", b"answer"])
        assert client.recv_multipart() == [b"answer"]


def test_a_dealer_that_talks_to_a_rep_adds_the_delimiter(
    context: zmq.SyncContext,
) -> None:
    """A DEALER must send the empty frame itself, or REP drops the request."""
    with (
        context.socket(zmq.REP) as server,
        context.socket(zmq.DEALER) as client,
    ):
        client.connect(bind_anywhere(server))
        client.send(b"without")
        client.send_multipart([b"", b"with"])
        assert server.recv() == b"with"
        server.send(b"answer")
        assert client.recv_multipart() == [b"", b"answer"]


def test_each_hop_adds_an_identity_to_the_envelope(
    context: zmq.SyncContext,
) -> None:
    """Each ROUTER on the way adds an identity, and the way back takes one."""
    with (
        context.socket(zmq.REQ) as client,
        context.socket(zmq.ROUTER) as frontend,
        context.socket(zmq.DEALER) as backend,
        context.socket(zmq.ROUTER) as server,
    ):
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


def test_an_identity_that_nobody_chose_is_five_bytes(
    context: zmq.SyncContext,
) -> None:
    """ROUTER gives an anonymous peer an identity: a zero and four bytes."""
    with (
        context.socket(zmq.ROUTER) as router,
        context.socket(zmq.DEALER) as one,
        context.socket(zmq.DEALER) as two,
    ):
        endpoint = bind_anywhere(router)
        for dealer in (one, two):
            dealer.connect(endpoint)
            dealer.send(b"hello")
        names = {router.recv_multipart()[0] for _ in range(2)}
    assert len(names) == 2
    assert all(len(name) == 5 and name[0] == 0 for name in names)


def test_a_router_addresses_a_peer_by_its_identity(
    context: zmq.SyncContext,
) -> None:
    """ROUTER sends to whom it chooses, in any order, not round robin."""
    names = (b"ann", b"bob", b"cat")
    with ExitStack() as stack:
        router = stack.enter_context(context.socket(zmq.ROUTER))
        endpoint = bind_anywhere(router)
        dealers = {}
        for name in names:
            dealer = stack.enter_context(context.socket(zmq.DEALER))
            dealer.identity = name
            dealer.connect(endpoint)
            dealer.send(b"here I am")
            assert router.recv_multipart() == [name, b"here I am"]
            dealers[name] = dealer
        for name in (b"bob", b"bob", b"ann", b"bob"):
            router.send_multipart([name, b"for " + name])
        assert dealers[b"ann"].recv() == b"for ann"
        assert [dealers[b"bob"].recv() for _ in range(3)] == [b"for bob"] * 3
        assert is_silent(dealers[b"cat"])


def test_a_router_drops_what_it_cannot_route(
    context: zmq.SyncContext,
) -> None:
    """ROUTER drops a message for an unknown identity without a word."""
    with (
        context.socket(zmq.ROUTER) as router,
        context.socket(zmq.DEALER) as known,
    ):
        known.identity = b"known"
        known.connect(bind_anywhere(router))
        known.send(b"hello")
        router.recv_multipart()
        router.send_multipart([b"unknown", b"lost"])  # no error
        router.send_multipart([b"known", b"found"])
        assert known.recv() == b"found"


def test_router_mandatory_says_what_it_cannot_route(
    context: zmq.SyncContext,
) -> None:
    """With ROUTER_MANDATORY, an unknown identity is EHOSTUNREACH."""
    with context.socket(zmq.ROUTER) as router:
        router.router_mandatory = True
        bind_anywhere(router)
        with pytest.raises(zmq.ZMQError) as error:
            router.send_multipart([b"unknown", b"message"])
    assert error.value.errno == zmq.EHOSTUNREACH


def test_a_dealer_asks_again_before_it_is_answered(
    context: zmq.SyncContext,
) -> None:
    """DEALER and ROUTER have no lock-step: ask thrice, answer backwards."""
    with (
        context.socket(zmq.ROUTER) as server,
        context.socket(zmq.DEALER) as client,
    ):
        client.connect(bind_anywhere(server))
        for number in (b"1", b"2", b"3"):
            client.send(number)
        requests = [server.recv_multipart() for _ in range(3)]
        for request in reversed(requests):
            server.send_multipart(request)
        assert [client.recv() for _ in range(3)] == [b"3", b"2", b"1"]


def test_a_dealer_deals(context: zmq.SyncContext) -> None:
    """DEALER sends to its peers round robin, as PUSH and REQ do."""
    with (
        context.socket(zmq.DEALER) as dealer,
        context.socket(zmq.ROUTER) as one,
        context.socket(zmq.ROUTER) as two,
    ):
        dealer.connect(bind_anywhere(one))
        dealer.connect(bind_anywhere(two))
        for number in range(10):
            dealer.send(b"%d" % number)
        odd = [int(two.recv_multipart()[1]) for _ in range(5)]
        even = [int(one.recv_multipart()[1]) for _ in range(5)]
    assert (even, odd) == ([0, 2, 4, 6, 8], [1, 3, 5, 7, 9])


def test_a_router_listens_to_each_in_turn(context: zmq.SyncContext) -> None:
    """ROUTER takes from its peers in turn, so that none drowns the others."""
    with (
        context.socket(zmq.ROUTER) as router,
        context.socket(zmq.DEALER) as chatty,
        context.socket(zmq.DEALER) as quiet,
    ):
        router.bind("inproc://router")
        for dealer in (chatty, quiet):
            dealer.connect("inproc://router")
        for _ in range(100):
            chatty.send(b"chatty")
        for _ in range(3):
            quiet.send(b"quiet")
        first_six = Counter(router.recv_multipart()[1] for _ in range(6))
    assert first_six == {b"chatty": 3, b"quiet": 3}


def test_a_broker_shares_requests_among_its_workers(
    context: zmq.SyncContext, in_thread: InThread
) -> None:
    """A ROUTER and a DEALER make a broker: many clients share N workers."""
    clients_at, workers_at = "inproc://clients", "inproc://workers"
    with ExitStack() as stack:
        for name in (b"ann", b"bob", b"cat"):
            in_thread(work, context, workers_at, name)
        in_thread(broker, context, clients_at, workers_at)
        clients = [
            stack.enter_context(context.socket(zmq.REQ)) for _ in range(5)
        ]
        for client in clients:
            client.connect(clients_at)
        workers = Counter[bytes]()
        while len(workers) < 3 or workers.total() < 100:
            for number, client in enumerate(clients):
                client.send(b"%d" % number)
            for number, client in enumerate(clients):
                task, _, worker = client.recv().partition(b" done by ")
                assert task == b"%d" % number  # never somebody else's
                workers[worker] += 1
            assert workers.total() < 100_000, "a worker gets nothing"


@pytest.mark.parametrize(
    ("kind", "shares"),
    [("blind", {"fast": 5, "slow": 5}), ("idle", {"fast": 9, "slow": 1})],
)
def test_a_broker_that_knows_who_is_idle_does_not_wait_for_the_slow(
    context: zmq.SyncContext,
    in_thread: InThread,
    kind: str,
    shares: dict[str, int],
) -> None:
    """A broker of idle workers gives a slow one 1 of 10, not 5 of 10.

    The slow one is slower than all the others together: it ends its first
    request when the fast one has done its share.
    """
    clients_at, workers_at = "inproc://clients", "inproc://workers"
    done, all_the_rest = Counter[str](), threading.Event()
    connected, slow_began = threading.Semaphore(0), threading.Event()

    def fast(request: bytes) -> bytes:
        assert slow_began.wait(PATIENCE_S)
        done["fast"] += 1
        if done["fast"] == shares["fast"]:
            all_the_rest.set()
        return request

    def slow(request: bytes) -> bytes:
        slow_began.set()
        assert all_the_rest.wait(PATIENCE_S)
        done["slow"] += 1
        return request

    def work_blindly(do: Callable[[bytes], bytes]) -> None:
        with context.socket(zmq.REP) as worker:
            worker.connect(workers_at)
            connected.release()
            while True:
                worker.send(do(worker.recv()))

    for do in (fast, slow):
        if kind == "blind":
            in_thread(work_blindly, do)
            assert connected.acquire(timeout=PATIENCE_S)
        else:
            in_thread(work_when_idle, context, workers_at, do)
    serve = broker if kind == "blind" else broker_for_the_idle
    with ExitStack() as stack:
        clients = [
            stack.enter_context(context.socket(zmq.REQ)) for _ in range(10)
        ]
        in_thread(serve, context, clients_at, workers_at)
        for number, client in enumerate(clients):
            client.connect(clients_at)
            client.send(b"%d" % number)
        for number, client in enumerate(clients):
            assert client.recv() == b"%d" % number
    assert done == shares


def test_a_router_cannot_speak_first(context: zmq.SyncContext) -> None:
    """ROUTER cannot speak first to a peer that has no name and is silent."""
    with (
        context.socket(zmq.ROUTER) as router,
        context.socket(zmq.DEALER) as silent,
        watch(router) as monitor,
    ):
        silent.connect(bind_anywhere(router))
        monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        assert is_silent(router)  # so there is no identity to send to


def test_probe_router_introduces_a_peer(context: zmq.SyncContext) -> None:
    """PROBE_ROUTER sends an empty message at once, so ROUTER may begin."""
    with (
        context.socket(zmq.ROUTER) as router,
        context.socket(zmq.DEALER) as worker,
    ):
        worker.probe_router = True
        worker.connect(bind_anywhere(router))
        identity, probe = router.recv_multipart()
        assert probe == b""
        router.send_multipart([identity, b"your first task"])
        assert worker.recv() == b"your first task"


@pytest.mark.parametrize("handover", [False, True])
def test_a_second_peer_of_the_same_name_is_ignored(
    context: zmq.SyncContext, handover: bool
) -> None:
    """A second peer of the same name is ignored, or with HANDOVER heard."""
    with (
        context.socket(zmq.ROUTER) as router,
        context.socket(zmq.DEALER) as first,
        context.socket(zmq.DEALER) as second,
        watch(second) as monitor,
    ):
        router.router_handover = handover
        endpoint = bind_anywhere(router)
        first.identity = second.identity = b"twin"
        first.connect(endpoint)
        first.send(b"I am the twin")
        assert router.recv_multipart() == [b"twin", b"I am the twin"]
        second.connect(endpoint)
        second.send(b"no, I am")
        monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        if handover:
            assert router.recv_multipart() == [b"twin", b"no, I am"]
        else:
            assert is_silent(router)
        router.send_multipart([b"twin", b"hello"])
        assert (second if handover else first).recv() == b"hello"


@pytest.mark.parametrize("handover", [False, True], ids=["trap", "cure"])
def test_a_restarted_peer_is_a_second_peer_of_the_same_name(
    context: zmq.SyncContext, handover: bool
) -> None:
    """A peer that restarts while ROUTER is busy is ignored, for good.

    ROUTER has not yet noticed that the first one left, so to it there are
    two of that name. With ROUTER_HANDOVER the later one has the name.
    """
    with context.socket(zmq.ROUTER) as router, watch(router) as monitor:
        router.router_handover = handover
        endpoint = bind_anywhere(router)

        def arrive() -> zmq.SyncSocket:
            peer = context.socket(zmq.DEALER)
            peer.identity = b"worker"
            peer.connect(endpoint)
            monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)
            return peer

        with arrive() as first:
            first.send(b"one")
            assert router.recv_multipart() == [b"worker", b"one"]
        monitor.wait_for(zmq.EVENT_DISCONNECTED)
        with arrive() as second:  # and all the time ROUTER was not called
            second.send(b"two")
            if handover:
                assert router.recv_multipart() == [b"worker", b"two"]
            else:
                assert is_silent(router, for_s=0.3)
            second.send(b"three")
            if handover:
                assert router.recv_multipart() == [b"worker", b"three"]
            else:
                assert is_silent(router, for_s=0.3)
