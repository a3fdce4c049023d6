"""CURVE encrypts a connection and proves who is at the other end.

A client that knows the server's public key cannot be fooled by another
server. A server lets in every client that knows its public key, unless it
has a list of guests; and a list that libzmq does not find lets everybody in,
unless the server names a domain and enforces it. A client that was refused
sees only silence: the socket's monitor tells why.

Sockets: REQ connects, REP binds; either could be the CURVE server. A second
REP keeps the list. Messages: for the list, the frames of RFC 27 (ZAP). Why:
a network is read by others, and a port is found by strangers. Sources:
libzmq documentation, zmq_curve, ZMQ_ZAP_ENFORCE_DOMAIN and
zmq_socket_monitor; RFC 26 (CurveZMQ) and 27 (ZAP); pyzmq,
zmq.auth (a list ready made), and its issue tracker, 1520 and 657.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import pytest
import zmq
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

from tests.patterns.helpers import (
    PATIENCE_S,
    InThread,
    bind_anywhere,
    is_silent,
    sockets,
    wiretap,
)

ZAP = "inproc://zeromq.zap.01"  # where libzmq asks; the name is fixed
SUCCESS, FAILURE = b"200", b"400"


class Keys(NamedTuple):
    """A key pair: the public half is given away, the secret half never."""

    public: bytes
    secret: bytes


def secure_server(server: zmq.SyncSocket, own: Keys) -> None:
    """Let in only the guests on the list; without a list, nobody."""
    server.curve_server = True
    server.curve_secretkey = own.secret
    server.zap_domain = b"guests"  # either of these two without the other
    server.zap_enforce_domain = True  # lets in everybody, if no list is found


def secure_client(
    client: zmq.SyncSocket, own: Keys, server_public: bytes
) -> None:
    """Let a socket talk only to the owner of `server_public`."""
    client.curve_serverkey = server_public
    client.curve_publickey, client.curve_secretkey = own


def keep_guest_list(doorman: zmq.SyncSocket, guests: set[bytes]) -> None:
    """Answer libzmq's question for each client: may this key come in?

    `doorman` is a REP that was bound to ZAP, in the context of the server
    and before it. This runs in a thread of its own.
    """
    with doorman:
        while True:
            version, request, *_, mechanism, key = doorman.recv_multipart()
            known = mechanism == b"CURVE" and z85.encode(key) in guests
            status = SUCCESS if known else FAILURE
            doorman.send_multipart([version, request, status, b"", b"", b""])


REASONS = {
    zmq.EVENT_HANDSHAKE_SUCCEEDED: "welcome",
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "not on the list",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "a breach of the protocol",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "hung up on",
}
SERVER, GUEST, STRANGER = (Keys(*zmq.curve_keypair()) for _ in range(3))


Begin = InThread


def _open_guest_list(context: zmq.SyncContext, in_thread: Begin) -> None:
    doorman = context.socket(zmq.REP)
    doorman.rcvtimeo = -1  # a guest may come at any time
    doorman.bind(ZAP)
    in_thread(keep_guest_list, doorman, {GUEST.public})


@pytest.fixture
def guest_list(context: zmq.SyncContext, in_thread: Begin) -> None:
    """The list, with one guest on it, in the context of the test."""
    _open_guest_list(context, in_thread)


def _connect(client: zmq.SyncSocket, endpoint: str, until: str = "") -> str:
    """Connect, send a request, and return what the monitor says of it.

    The side that is first to see that the mechanisms differ may hang up
    before it has told the other, which then tries again: `until` names
    what to wait for.
    """
    events = client.get_monitor_socket(sum(REASONS))
    try:
        client.connect(endpoint)
        with suppress(zmq.Again):  # refused already: no queue is left
            client.send(b"hello", zmq.DONTWAIT)
        while events.poll(int(PATIENCE_S * 1000)):
            event = zmq.Event(recv_monitor_message(events)["event"])
            if until in {"", REASONS[event]}:
                return REASONS[event]
    finally:
        client.disable_monitor()
        events.close()
    return "nothing"


def _with_keys(own: Keys, server: Keys) -> Callable[[zmq.SyncSocket], None]:
    return lambda client: secure_client(client, own, server.public)


def _with_nothing(client: zmq.SyncSocket) -> None:
    assert client.mechanism == zmq.NULL


def _with_a_password(client: zmq.SyncSocket) -> None:
    client.plain_username, client.plain_password = b"guest", b"secret"


@pytest.mark.usefixtures("guest_list")
def test_with_the_right_key_a_request_is_answered(
    context: zmq.SyncContext,
) -> None:
    """A guest that knows the server's key talks to it as ever."""
    with sockets(context, zmq.REP, zmq.REQ) as (server, client):
        secure_server(server, SERVER)
        secure_client(client, GUEST, SERVER.public)
        assert _connect(client, bind_anywhere(server)) == "welcome"
        server.send(server.recv() + b" yourself")
        assert client.recv() == b"hello yourself"


@pytest.mark.usefixtures("guest_list")
@pytest.mark.parametrize(
    ("dress", "reason"),
    [
        (_with_keys(GUEST, STRANGER), "hung up on"),
        (_with_nothing, "a breach of the protocol"),
        (_with_a_password, "a breach of the protocol"),
    ],
    ids=["wrong-key", "no-key", "password"],
)
def test_without_the_right_key_there_is_only_silence(
    context: zmq.SyncContext,
    dress: Callable[[zmq.SyncSocket], None],
    reason: str,
) -> None:
    """A refused client hears nothing; the monitor tells it why."""
    with sockets(context, zmq.REP, zmq.REQ) as (server, client):
        secure_server(server, SERVER)
        dress(client)
        assert _connect(client, bind_anywhere(server), reason) == reason
        assert is_silent(client), "no error, no answer: a time-out"
        assert is_silent(server), "and the request was never delivered"


def test_the_server_sees_why_it_refused_a_wrong_key(
    context: zmq.SyncContext,
) -> None:
    """The monitor of the server names the wrong key as the cause."""
    with sockets(context, zmq.REP, zmq.REQ) as (server, client):
        secure_server(server, SERVER)
        secure_client(client, GUEST, STRANGER.public)
        events = server.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        )
        assert _connect(client, bind_anywhere(server)) != "welcome"
        assert events.poll(int(PATIENCE_S * 1000))
        detail = recv_monitor_message(events)["value"]
        server.disable_monitor()
        events.close()
        assert detail == zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC


@pytest.mark.usefixtures("guest_list")
@pytest.mark.parametrize(
    ("visitor", "reason"),
    [(GUEST, "welcome"), (STRANGER, "not on the list")],
    ids=["guest", "stranger"],
)
def test_a_list_of_public_keys_lets_nobody_else_in(
    context: zmq.SyncContext, visitor: Keys, reason: str
) -> None:
    """A server with a list admits the clients on it and no other."""
    with sockets(context, zmq.REP, zmq.REQ) as (server, client):
        secure_server(server, SERVER)
        secure_client(client, visitor, SERVER.public)
        assert _connect(client, bind_anywhere(server)) == reason
        assert is_silent(server) == (visitor is STRANGER)


@pytest.mark.parametrize(
    ("named", "enforced", "reason"),
    [
        (False, False, "welcome"),
        (True, False, "welcome"),
        (False, True, "welcome"),
        (True, True, "hung up on"),
    ],
    ids=["neither", "named", "enforced", "both"],
)
@pytest.mark.parametrize("elsewhere", [False, True], ids=["no", "elsewhere"])
def test_a_list_that_is_not_found_lets_everybody_in(
    new_context: Callable[[], zmq.SyncContext],
    in_thread: Begin,
    elsewhere: bool,
    named: bool,
    enforced: bool,
    reason: str,
) -> None:
    """Without a list, or with one in another context, all are welcome.

    Only a domain that is named and enforced refuses them.
    """
    context = new_context()
    if elsewhere:
        _open_guest_list(new_context(), in_thread)
    with sockets(context, zmq.REP, zmq.REQ) as (server, client):
        server.curve_server = True
        server.curve_secretkey = SERVER.secret
        if named:
            server.zap_domain = b"guests"
        server.zap_enforce_domain = enforced
        secure_client(client, STRANGER, SERVER.public)
        assert _connect(client, bind_anywhere(server)) == reason


def test_a_server_whose_list_was_lost_refuses_its_guests(
    context: zmq.SyncContext,
) -> None:
    """A server that cannot ask its list lets nobody in, not even guests."""
    with sockets(context, zmq.REP, zmq.REQ) as (server, client):
        secure_server(server, SERVER)
        secure_client(client, GUEST, SERVER.public)
        assert _connect(client, bind_anywhere(server)) == "hung up on"
        assert is_silent(server)


@pytest.mark.usefixtures("guest_list")
@pytest.mark.parametrize("secure", [False, True], ids=["trap", "cure"])
def test_who_listens_on_the_wire_reads_everything_but_curve(
    context: zmq.SyncContext, secure: bool
) -> None:
    """Without CURVE a message crosses the network for everyone to read."""
    with sockets(context, zmq.PULL, zmq.PUSH) as (pull, push):
        if secure:
            secure_server(pull, SERVER)
            secure_client(push, GUEST, SERVER.public)
        with wiretap(bind_anywhere(pull)) as tap:
            push.connect(tap.endpoint)
            push.send(b"the password is swordfish")
            assert pull.recv() == b"the password is swordfish"
            heard = bytes(tap.from_client)
    assert len(heard) > 64, "the greeting of ZMTP at least"
    assert (b"swordfish" in heard) == (not secure)


@pytest.mark.usefixtures("guest_list")
def test_the_side_that_connects_may_be_the_curve_server(
    context: zmq.SyncContext,
) -> None:
    """Who binds and who connects has nothing to do with whose key it is."""
    with sockets(context, zmq.PULL, zmq.PUSH) as (pull, push):
        secure_client(pull, GUEST, SERVER.public)
        secure_server(push, SERVER)
        push.connect(bind_anywhere(pull))
        push.send(b"from the one with the key")
        assert pull.recv() == b"from the one with the key"
