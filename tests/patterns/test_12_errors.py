"""Errors from outside are values that a program handles.

A wrong address, an absent peer, a call out of turn or a context that ends:
each has a number of its own (errno) and leaves the socket usable. An error
inside libzmq is different: it asserts and ends the process, and no test can
show it (README.md says where that is documented).

Sockets: REP binds and serves until its context ends. Messages: a request
and its echo. Why: a program that names what is wrong is mended by the person
who reads it. Sources: libzmq documentation, zmq_ctx_term and "ERRORS" of
each function; Guide, chapter 2, "Handling Errors and ETERM"; pyzmq,
Context.destroy.
"""

import errno
import threading
from collections.abc import Callable

import pytest
import zmq

from tests.patterns.helpers import (
    PATIENCE_S,
    InThread,
    Spawn,
    bind_anywhere,
    sockets,
)


def echo_until_the_end(context: zmq.SyncContext, endpoint: str) -> str:
    """Answer every request; leave when the context is terminated."""
    with context.socket(zmq.REP) as server:
        server.bind(endpoint)
        while True:
            try:
                server.send(server.recv())
            except zmq.ContextTerminated:
                return "closed my socket and left"


def poll_a_closed_socket(context: zmq.SyncContext, first: str) -> None:
    """Close a socket that a poller knows, and say what the poller finds."""
    poller = zmq.Poller()
    server = context.socket(zmq.REP)
    poller.register(server, zmq.POLLIN)
    if first == "unregister":
        poller.unregister(server)
    server.close()
    print(poller.poll(0), flush=True)


def bind_or_say_why(socket: zmq.SyncSocket, endpoint: str) -> str:
    """Bind, or return a sentence that a person can act on."""
    socket.ipv6 = "[" in endpoint  # else even ::1 is "no such device"
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        match error.errno:
            case errno.EADDRINUSE:
                return f"{endpoint} is taken: stop the other, or use port *"
            case errno.EADDRNOTAVAIL | errno.ENODEV:
                return f"{endpoint} is not an address of this machine"
            case errno.EINVAL | errno.EPROTONOSUPPORT:
                return f"{endpoint} is no endpoint: try tcp://127.0.0.1:5555"
            case _:
                raise  # what we did not think of must not stay quiet
    return f"bound to {socket.get_string(zmq.LAST_ENDPOINT)}"


def test_terminating_the_context_wakes_a_blocked_thread(
    context: zmq.SyncContext, in_thread: InThread
) -> None:
    """ETERM wakes a thread that waits in recv, so that it can leave."""
    server = in_thread(echo_until_the_end, context, "inproc://echo")
    with context.socket(zmq.REQ) as client:
        client.connect("inproc://echo")
        client.send(b"hello")
        assert client.recv() == b"hello"
    assert not server.done()

    context.term()
    assert server.result(PATIENCE_S) == "closed my socket and left"


def test_term_waits_until_every_socket_is_closed(
    new_context: Callable[[], zmq.SyncContext], in_thread: InThread
) -> None:
    """A socket that stays open keeps `term` waiting."""
    context = new_context()
    socket = context.socket(zmq.PULL)
    ending = in_thread(context.term)
    with pytest.raises(TimeoutError):
        ending.result(timeout=0.3)

    with pytest.raises(zmq.ContextTerminated):
        socket.recv()  # ETERM: closing is all that is left to do
    socket.close()
    ending.result(PATIENCE_S)


def test_destroy_closes_the_sockets_of_other_threads(
    new_context: Callable[[], zmq.SyncContext], in_thread: InThread
) -> None:
    """Where `term` waits for a thread, `destroy` closes its socket.

    That is why leaving `with zmq.Context()`, which destroys, belongs after
    the last thread has ended. Here the owner is between two calls; had it
    been inside one, two threads would be in one socket at once.
    """
    context = new_context()
    opened, destroyed = threading.Event(), threading.Event()

    def own_a_socket() -> int:
        socket = context.socket(zmq.PULL)
        opened.set()
        assert destroyed.wait(PATIENCE_S)
        with pytest.raises(zmq.ZMQError) as surprise:
            socket.recv()
        return surprise.value.errno or 0

    owner = in_thread(own_a_socket)
    assert opened.wait(PATIENCE_S)
    context.destroy(linger=0)
    destroyed.set()
    assert owner.result(PATIENCE_S) == zmq.ENOTSOCK


def test_an_address_in_use_is_an_error_with_a_name(
    context: zmq.SyncContext,
) -> None:
    """A second server on one port gets EADDRINUSE; port * is always free."""
    with sockets(context, zmq.REP, zmq.REP) as (first, second):
        taken = bind_anywhere(first)
        with pytest.raises(zmq.ZMQError) as refused:
            second.bind(taken)
        assert refused.value.errno == zmq.EADDRINUSE

        assert "is taken" in bind_or_say_why(second, taken)
        free = bind_or_say_why(second, "tcp://127.0.0.1:*")
        assert free.startswith("bound to tcp://127.0.0.1:")


@pytest.mark.parametrize(
    ("endpoint", "sentence"),
    [
        ("tcp://no-such-card:*", "is not an address of this machine"),
        ("tcp://192.0.2.1:*", "is not an address of this machine"),
        ("tcp://[2001:db8::1]:*", "is not an address of this machine"),
        ("tcp://127.0.0.1", "is no endpoint"),
        ("http://127.0.0.1:80", "is no endpoint"),
    ],
)
def test_a_wrong_endpoint_becomes_a_sentence(
    context: zmq.SyncContext, endpoint: str, sentence: str
) -> None:
    """A wrong endpoint is refused at once, by the call that was given it."""
    with context.socket(zmq.REP) as server:
        assert sentence in bind_or_say_why(server, endpoint)


def test_ipv6_is_an_option_of_the_socket(context: zmq.SyncContext) -> None:
    """Without the option IPV6, an IPv6 address is "No such device"."""
    with sockets(context, zmq.REP, zmq.REQ) as (server, client):
        with pytest.raises(zmq.ZMQError) as refused:
            server.bind("tcp://[::1]:*")
        assert refused.value.errno == errno.ENODEV

        bound = bind_or_say_why(server, "tcp://[::1]:*")
        assert bound.startswith("bound to tcp://[::1]:")
        client.ipv6 = True
        client.connect(bound.removeprefix("bound to "))
        client.send(b"hello")
        assert server.recv() == b"hello"


def test_what_nobody_thought_of_is_not_swallowed(
    context: zmq.SyncContext, endpoint: str
) -> None:
    """An error that the program does not expect is raised, not hidden."""
    with context.socket(zmq.REP) as server:
        with pytest.raises(zmq.ZMQError) as surprise:
            bind_or_say_why(server, f"{endpoint}/in/no/folder")
        assert surprise.value.errno == errno.ENOENT


def test_nothing_to_receive_is_eagain_and_poll_asks_first(
    context: zmq.SyncContext,
) -> None:
    """EAGAIN means not now: nothing to receive yet, or no room to send."""
    with sockets(context, zmq.PULL, zmq.PUSH) as (pull, push):
        pull.bind("inproc://later")
        with pytest.raises(zmq.Again):
            pull.recv(zmq.DONTWAIT)
        pull.rcvtimeo = 20
        with pytest.raises(zmq.Again):
            pull.recv()
        with pytest.raises(zmq.Again):
            push.send(b"there is nobody to take this", zmq.DONTWAIT)

        push.connect("inproc://later")
        push.send(b"now")
        assert pull.poll(int(PATIENCE_S * 1000))
        assert pull.recv(zmq.DONTWAIT) == b"now"


def test_a_call_out_of_turn_is_efsm_and_leaves_the_socket_whole(
    context: zmq.SyncContext,
) -> None:
    """EFSM means out of turn; the socket still works in the right order."""
    with sockets(context, zmq.REQ, zmq.REP) as (client, server):
        server.bind("inproc://turns")
        client.connect("inproc://turns")
        with pytest.raises(zmq.ZMQError) as early_recv:
            client.recv()
        with pytest.raises(zmq.ZMQError) as early_send:
            server.send(b"an answer to nothing")
        client.send(b"question")
        with pytest.raises(zmq.ZMQError) as second_send:
            client.send(b"another question")
        assert {
            early_recv.value.errno,
            early_send.value.errno,
            second_send.value.errno,
        } == {zmq.EFSM}

        server.send(b"answer to " + server.recv())
        assert client.recv() == b"answer to question"


def test_a_peer_that_is_not_there_is_ehostunreach_if_you_ask(
    context: zmq.SyncContext,
) -> None:
    """ROUTER drops what it cannot route; ROUTER_MANDATORY says so."""
    with context.socket(zmq.ROUTER) as router:
        router.send_multipart([b"nobody", b"dropped without a word"])

        router.router_mandatory = 1
        with pytest.raises(zmq.ZMQError) as unroutable:
            router.send_multipart([b"nobody", b"refused"])
        assert unroutable.value.errno == zmq.EHOSTUNREACH


@pytest.mark.parametrize(
    ("first", "found"),
    [("close", "[(0, 1)]"), ("unregister", "[]")],
    ids=["trap", "cure"],
)
def test_a_poller_that_holds_a_closed_socket_polls_stdin(
    spawn: Spawn, first: str, found: str
) -> None:
    """A poller takes a closed socket for descriptor 0, which is stdin.

    Here stdin is at its end, and so is always ready: the loop that polls
    spins. Unregister a socket before you close it.
    """
    program = spawn(poll_a_closed_socket, first)
    assert program.wait() == 0, program.stderr
    assert program.stdout == f"{found}\n"


def test_a_context_has_room_for_1023_sockets(
    context: zmq.SyncContext,
) -> None:
    """The socket after MAX_SOCKETS is EMFILE; raise it before the first."""
    assert context.get(zmq.MAX_SOCKETS) == 1023
    context.set(zmq.MAX_SOCKETS, 2)
    with context.socket(zmq.REQ), context.socket(zmq.REQ):
        with pytest.raises(zmq.ZMQError) as one_too_many:
            context.socket(zmq.REQ)
        assert one_too_many.value.errno == errno.EMFILE
        context.set(zmq.MAX_SOCKETS, 2000)  # too late
        with pytest.raises(zmq.ZMQError):
            context.socket(zmq.REQ)


def test_every_errno_has_a_sentence() -> None:
    """ZeroMQ's own error numbers explain themselves."""
    own = {
        zmq.EFSM: "Operation cannot be accomplished in current state",
        zmq.ETERM: "Context was terminated",
        zmq.EMTHREAD: "No thread available",
        zmq.EHOSTUNREACH: "Host unreachable",
    }
    assert {number: zmq.strerror(number) for number in own} == own
