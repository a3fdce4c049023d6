"""CURVE encrypts a connection and proves who is at the other end.

A client that knows the server's public key cannot be fooled by another
server. A server that keeps a list of public keys lets nobody else in; one
without a list lets in everybody who knows its own. Whoever is refused sees
only silence: the socket's monitor tells why.

Sockets: REQ connects, REP binds; either could be the CURVE server. Sources:
libzmq documentation, zmq_curve and zmq_socket_monitor; RFC 26 (CurveZMQ) and
27 (ZAP); pyzmq, zmq.auth.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

from tests.patterns.helpers import (
    PATIENCE_S,
    bind_anywhere,
    is_silent,
    wiretap,
)

REASONS = {
    zmq.Event.HANDSHAKE_SUCCEEDED: "welcome",
    zmq.Event.HANDSHAKE_FAILED_AUTH: "this key is not on the list",
    zmq.Event.HANDSHAKE_FAILED_PROTOCOL: "the mechanisms differ",
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL: "hung up on, without a word",
}


@dataclass(frozen=True)
class Keys:
    """A key pair: the public half is given away, the secret half never."""

    pair: tuple[bytes, bytes] = field(default_factory=zmq.curve_keypair)

    @property
    def public(self) -> bytes:
        return self.pair[0]

    @property
    def secret(self) -> bytes:
        return self.pair[1]


def secure_server(socket: zmq.Socket[Any], own: Keys) -> None:
    """Let a socket accept only those who know our public key."""
    socket.curve_server = True
    socket.curve_secretkey = own.secret


def secure_client(
    socket: zmq.Socket[Any], own: Keys, server_public: bytes
) -> None:
    """Let a socket talk only to the owner of `server_public`."""
    socket.curve_serverkey = server_public
    socket.curve_publickey, socket.curve_secretkey = own.pair


@contextmanager
def _guest_list(context: zmq.Context[Any], *guests: bytes) -> Iterator[None]:
    """While this is open, only these public keys get into the context."""

    class GuestList:
        def callback(self, domain: str, key: bytes) -> bool:  # noqa: ARG002
            return key in guests

    doorman = ThreadAuthenticator(context)
    doorman.start()
    try:
        doorman.configure_curve_callback("*", GuestList())
        yield
    finally:
        doorman.stop()


def _ask(client: zmq.Socket[Any], endpoint: str, until: str = "") -> str:
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


SERVER, GUEST, STRANGER = Keys(), Keys(), Keys()


def _right_key(client: zmq.Socket[Any]) -> None:
    secure_client(client, GUEST, SERVER.public)


def _wrong_server_key(client: zmq.Socket[Any]) -> None:
    secure_client(client, GUEST, STRANGER.public)


def _no_key(client: zmq.Socket[Any]) -> None:
    assert client.mechanism == zmq.NULL


def _password(client: zmq.Socket[Any]) -> None:
    client.plain_username, client.plain_password = b"guest", b"secret"
    assert client.mechanism == zmq.PLAIN


def test_with_the_right_key_a_request_is_answered(
    context: zmq.Context[Any],
) -> None:
    """A client that knows the server's key talks to it as ever."""
    with context.socket(zmq.REP) as server, context.socket(zmq.REQ) as client:
        secure_server(server, SERVER)
        _right_key(client)
        assert _ask(client, bind_anywhere(server)) == "welcome"
        server.send(server.recv() + b" yourself")
        assert client.recv() == b"hello yourself"


@pytest.mark.parametrize(
    ("dress", "reason"),
    [
        (_wrong_server_key, "hung up on, without a word"),
        (_no_key, "the mechanisms differ"),
        (_password, "the mechanisms differ"),
    ],
    ids=["wrong-key", "no-key", "plain-peer"],
)
def test_without_the_right_key_there_is_only_silence(
    context: zmq.Context[Any],
    dress: Callable[[zmq.Socket[Any]], None],
    reason: str,
) -> None:
    """A refused client hears nothing; the monitor tells it why."""
    with context.socket(zmq.REP) as server, context.socket(zmq.REQ) as client:
        secure_server(server, SERVER)
        dress(client)
        assert _ask(client, bind_anywhere(server), reason) == reason
        assert is_silent(client), "no error, no answer: a time-out"
        assert is_silent(server), "and the request was never delivered"


def test_the_server_sees_why_it_refused_a_wrong_key(
    context: zmq.Context[Any],
) -> None:
    """The monitor of the server names the wrong key as the cause."""
    with context.socket(zmq.REP) as server, context.socket(zmq.REQ) as client:
        secure_server(server, SERVER)
        _wrong_server_key(client)
        events = server.get_monitor_socket(
            zmq.Event.HANDSHAKE_FAILED_PROTOCOL
        )
        assert _ask(client, bind_anywhere(server)) != "welcome"
        assert events.poll(int(PATIENCE_S * 1000))
        detail = recv_monitor_message(events)["value"]
        server.disable_monitor()
        events.close()
        assert detail == zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC


@pytest.mark.parametrize(
    "visitor", [GUEST, STRANGER], ids=["guest", "stranger"]
)
def test_without_a_list_the_server_lets_every_key_in(
    context: zmq.Context[Any], visitor: Keys
) -> None:
    """The server's public key alone admits anybody who has heard of it."""
    with context.socket(zmq.REP) as server, context.socket(zmq.REQ) as client:
        secure_server(server, SERVER)
        secure_client(client, visitor, SERVER.public)
        assert _ask(client, bind_anywhere(server)) == "welcome"


@pytest.mark.parametrize(
    ("visitor", "reason"),
    [(GUEST, "welcome"), (STRANGER, "this key is not on the list")],
    ids=["guest", "stranger"],
)
def test_a_list_of_public_keys_lets_nobody_else_in(
    context: zmq.Context[Any], visitor: Keys, reason: str
) -> None:
    """A server with a list admits the clients on it and no other."""
    with (
        _guest_list(context, GUEST.public),
        context.socket(zmq.REP) as server,
        context.socket(zmq.REQ) as client,
    ):
        secure_server(server, SERVER)
        secure_client(client, visitor, SERVER.public)
        assert _ask(client, bind_anywhere(server)) == reason
        if visitor is STRANGER:
            assert is_silent(server)
        else:
            assert server.recv() == b"hello"


@pytest.mark.parametrize("secure", [False, True], ids=["trap", "cure"])
def test_who_listens_on_the_wire_reads_everything_but_curve(
    context: zmq.Context[Any], secure: bool
) -> None:
    """Without CURVE a message crosses the network for everyone to read."""
    with context.socket(zmq.PULL) as pull, context.socket(zmq.PUSH) as push:
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


def test_the_side_that_connects_may_be_the_curve_server(
    context: zmq.Context[Any],
) -> None:
    """Who binds and who connects has nothing to do with whose key it is."""
    with context.socket(zmq.PULL) as pull, context.socket(zmq.PUSH) as push:
        secure_client(pull, GUEST, SERVER.public)
        secure_server(push, SERVER)
        push.connect(bind_anywhere(pull))
        push.send(b"from the one with the key")
        assert pull.recv() == b"from the one with the key"
