"""Connections come and go, and the program need not notice.

Sockets: any; one binds, the other connects, in whichever order. Messages:
they wait while there is no connection. Why: a peer may start late, crash,
move or stand still, and ZeroMQ connects again by itself. But what was under
way is not sent again, a subscription is renewed at the program's next call,
and only heartbeats notice a peer that is alive and silent. Sources: libzmq
documentation, zmq_setsockopt; libzmq's issue tracker, 3937 and 4767
(heartbeats), 2267 (subscriptions).
"""

import signal
from contextlib import suppress
from pathlib import Path

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from tests.patterns.helpers import (
    Spawn,
    bind_anywhere,
    is_silent,
    kill,
    sockets,
    stop,
    watch,
)


def serve(context: zmq.SyncContext, endpoint: str) -> None:
    """Send back whatever comes, until somebody kills this process."""
    with context.socket(zmq.ROUTER) as server:
        server.bind(endpoint)
        while True:
            server.send_multipart(server.recv_multipart())


def notice_silence(client: zmq.SyncSocket, within_s: float) -> None:
    """Let `client` drop a connection whose other end stands still.

    Call it before connecting, and never on a socket that receives in bulk:
    when its queue is full, libzmq stops reading, takes a healthy peer for a
    silent one, and aborts. There, let the sender watch, or TCP keepalive.
    """
    # Half of the time until a ping goes out, half of it for an answer.
    client.heartbeat_ivl = client.heartbeat_timeout = int(within_s * 500)


def read_late(context: zmq.SyncContext, care: str) -> None:
    """Be busy, again and again, while the queue of this reader is full."""
    with context.socket(zmq.PUSH) as out, context.socket(zmq.PULL) as reader:
        out.sndhwm = reader.rcvhwm = 10
        if care in {"reader", "reader without a mark"}:
            notice_silence(reader, within_s=0.1)
        if care == "reader without a mark":
            reader.rcvhwm = 0
        if care == "sender":
            notice_silence(out, within_s=0.1)
        if care == "keepalive":  # the kernel asks, whatever we are doing
            reader.tcp_keepalive = reader.tcp_keepalive_idle = 1
        with watch(reader) as connection:
            reader.connect(bind_anywhere(out))
            for _ in range(2):
                _fill(out)
                while connection.changes(within_s=0.3):
                    pass  # the program has other work
                while reader.poll(20):
                    reader.recv()
    print("ALIVE", flush=True)


def _fill(out: zmq.SyncSocket) -> None:
    out.sndtimeo = 50
    with suppress(zmq.Again):
        for _ in range(5_000):
            out.send(bytes(200))


def swallow(context: zmq.SyncContext, endpoint: str) -> None:
    """Take one message, say so, and never answer."""
    with context.socket(zmq.ROUTER) as server:
        server.bind(endpoint)
        server.recv_multipart()
        print("SWALLOWED", flush=True)
        server.poll()  # until it is killed


@pytest.fixture(params=["tcp", "ipc"])
def address(
    request: pytest.FixtureRequest, tcp_endpoint: str, endpoint: str
) -> str:
    return tcp_endpoint if request.param == "tcp" else endpoint


@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
def test_connect_may_come_before_bind(
    context: zmq.SyncContext, tcp_endpoint: str, endpoint: str, transport: str
) -> None:
    """Connect returns at once, though nobody is there, and messages wait.

    inproc: since libzmq 4.0.
    """
    address = endpoint.replace("ipc", transport)
    if transport == "tcp":
        address = tcp_endpoint
    with sockets(context, zmq.PUSH, zmq.PULL) as (early, late):
        early.connect(address)
        early.send(b"are you there yet?")
        late.bind(address)
        assert late.recv() == b"are you there yet?"


def test_a_client_finds_its_server_again_by_itself(
    context: zmq.SyncContext, address: str, spawn: Spawn
) -> None:
    """After a server was killed, its clients reconnect by themselves."""
    server = spawn(serve, address)
    with context.socket(zmq.DEALER) as client, watch(client) as monitor:
        client.connect(address)
        client.send(b"first")
        assert client.recv() == b"first"
        kill(server)
        monitor.wait_for(zmq.EVENT_DISCONNECTED)
        client.send(b"second")  # waits in the queue
        spawn(serve, address)
        assert client.recv() == b"second"
        monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        assert zmq.EVENT_CONNECT_RETRIED in monitor.seen


def test_what_was_under_way_is_not_sent_again(
    context: zmq.SyncContext, endpoint: str, spawn: Spawn
) -> None:
    """It reconnects, but what a dead server had taken is not sent again."""
    server = spawn(swallow, endpoint)
    with context.socket(zmq.DEALER) as client, watch(client) as monitor:
        client.connect(endpoint)
        client.send(b"under way")
        server.wait_for("SWALLOWED")
        kill(server)
        monitor.wait_for(zmq.EVENT_DISCONNECTED)
        client.send(b"next")
        spawn(serve, endpoint)
        assert client.recv() == b"next"
        assert is_silent(client)


@pytest.mark.parametrize("subscriber", ["connects", "binds"])
def test_a_subscription_is_renewed_at_the_next_call(
    context: zmq.SyncContext, endpoint: str, subscriber: str
) -> None:
    """Connected is not subscribed: that needs a call of the subscriber.

    The subscription is sent by the thread that owns the socket, not by the
    one in the background. A program that looks away misses what is said.
    """
    with context.socket(zmq.SUB) as sub, watch(sub) as monitor:
        sub.subscribe(b"news")
        join = sub.connect if subscriber == "connects" else sub.bind
        join(endpoint)
        for round_ in range(2):  # a publisher, and the one after it
            with context.socket(zmq.XPUB) as publisher:
                if subscriber == "connects":
                    publisher.bind(endpoint)
                else:
                    publisher.connect(endpoint)
                monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)
                if round_ or subscriber == "binds":
                    assert is_silent(publisher)
                    publisher.send(b"news that nobody gets")
                    sub.poll(0)  # any call will do
                assert publisher.recv() == b"\x01news"
                publisher.send(b"news")
                assert sub.recv() == b"news"
            monitor.wait_for(zmq.EVENT_DISCONNECTED)


def test_one_socket_has_many_peers_on_many_transports(
    context: zmq.SyncContext, ipc_folder: Path
) -> None:
    """One socket binds and connects at once, to many peers, on any mix."""
    with sockets(
        context, zmq.PULL, zmq.PUSH, zmq.PUSH, zmq.PUSH, zmq.PUSH
    ) as (sink, by_tcp, by_ipc, by_inproc, called):
        by_tcp.connect(bind_anywhere(sink))
        sink.bind(f"ipc://{ipc_folder}/sink")
        by_ipc.connect(f"ipc://{ipc_folder}/sink")
        sink.bind("inproc://sink")
        by_inproc.connect("inproc://sink")
        sink.connect(bind_anywhere(called))
        for number, push in enumerate((by_tcp, by_ipc, by_inproc, called)):
            push.send(b"%d" % number)
        assert {int(sink.recv()) for _ in range(4)} == {0, 1, 2, 3}


def test_half_of_the_messages_wait_for_an_absent_peer(
    context: zmq.SyncContext, endpoint: str
) -> None:
    """A message may be queued for a peer that is absent, and stuck there."""
    opened = sockets(context, zmq.PUSH, zmq.PULL, zmq.PULL)
    with opened as (push, present, absent):
        push.connect(bind_anywhere(present))
        push.connect(endpoint)  # where nobody is, so far
        for number in range(10):
            push.send(b"%d" % number)
        here = [int(present.recv()) for _ in range(5)]
        assert is_silent(present)
        absent.bind(endpoint)
        assert here == [0, 2, 4, 6, 8]
        assert [int(absent.recv()) for _ in range(5)] == [1, 3, 5, 7, 9]


def test_immediate_queues_only_for_those_who_are_there(
    context: zmq.SyncContext, endpoint: str
) -> None:
    """With IMMEDIATE, messages go only to peers that are connected."""
    with (
        sockets(context, zmq.PUSH, zmq.PULL) as (push, present),
        watch(push) as monitor,
    ):
        push.immediate = True
        push.connect(endpoint)  # where nobody is
        with pytest.raises(zmq.Again):
            push.send(b"to nobody", zmq.DONTWAIT)
        monitor.wait_for(zmq.EVENT_CONNECT_RETRIED)
        push.connect(bind_anywhere(present))
        monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        for number in range(10):
            push.send(b"%d" % number)
        assert [int(present.recv()) for _ in range(10)] == list(range(10))


def test_a_client_backs_off_when_it_is_told_to(
    context: zmq.SyncContext, endpoint: str
) -> None:
    """With RECONNECT_IVL_MAX the pause between tries doubles up to it."""
    with context.socket(zmq.DEALER) as client:
        client.reconnect_ivl, client.reconnect_ivl_max = 10, 80
        events = client.get_monitor_socket(zmq.EVENT_CONNECT_RETRIED)
        with events:
            client.connect(endpoint)
            pauses_ms = [
                int(recv_monitor_message(events)["value"]) for _ in range(5)
            ]
            client.disable_monitor()
    assert pauses_ms == [10, 20, 40, 80, 80]


@pytest.mark.slow
def test_heartbeats_notice_a_peer_that_is_silent_but_alive(
    context: zmq.SyncContext, tcp_endpoint: str, spawn: Spawn
) -> None:
    """Heartbeats find a stopped peer; without them it looks well."""
    server = spawn(serve, tcp_endpoint)
    with (
        sockets(context, zmq.DEALER, zmq.DEALER) as (trusting, careful),
        watch(trusting) as trust,
        watch(careful) as care,
    ):
        notice_silence(careful, within_s=2.0)
        for client in (trusting, careful):
            client.connect(tcp_endpoint)
            client.send(b"hello")
            assert client.recv() == b"hello"
        stop(server)
        care.wait_for(zmq.EVENT_DISCONNECTED)
        assert zmq.EVENT_HANDSHAKE_SUCCEEDED in trust.so_far()
        assert zmq.EVENT_DISCONNECTED not in trust.so_far()
        server.signal(signal.SIGCONT)
        care.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        careful.send(b"welcome back")
        assert careful.recv() == b"welcome back"


def test_heartbeats_of_a_reader_that_is_late_abort_the_process(
    spawn: Spawn,
) -> None:
    """Heartbeats at a reader whose queue is full abort the process.

    No peer has died. The same with DEALER and SUB, and with default marks.
    """
    reader = spawn(read_late, "reader")
    assert reader.wait() == -signal.SIGABRT
    assert "_input_stopped" in reader.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "care", ["reader without a mark", "sender", "keepalive"]
)
def test_a_reader_that_is_late_may_be_watched_otherwise(
    spawn: Spawn, care: str
) -> None:
    """Heartbeats at the sender, no mark, or TCP keepalive: all survive."""
    reader = spawn(read_late, care)
    assert reader.wait() == 0, reader.stderr
    assert reader.stdout == "ALIVE\n"
