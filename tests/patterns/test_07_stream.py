"""A STREAM socket speaks plain TCP, so it can even answer a web browser.

Sockets: STREAM binds; the peer is any TCP program. Messages: an identity
frame and a piece of the byte stream; an empty piece says that a peer came
or went. Why: to talk to what does not speak ZeroMQ. It also shows why nobody
wants to write that: TCP has no messages, only pieces. Sources: libzmq
documentation, zmq_socket, "Native pattern".
"""

import http.client
import socket
from collections import defaultdict
from contextlib import closing

import zmq

from tests.patterns.helpers import (
    PATIENCE_S,
    InThread,
    bind_anywhere,
    is_silent,
    wait_until,
)


def read_request(stream: zmq.SyncSocket) -> tuple[bytes, bytes]:
    """Collect pieces until one peer has sent a whole HTTP header."""
    heard = defaultdict[bytes, bytes](bytes)
    while True:
        peer, piece = stream.recv_multipart()
        heard[peer] += piece  # an empty one says that it came, or went
        if b"\r\n\r\n" in heard[peer]:
            return peer, heard[peer]


def answer(stream: zmq.SyncSocket, peer: bytes, page: bytes) -> None:
    """Send the page as HTTP wants it."""
    header = f"HTTP/1.1 200 OK\r\nContent-Length: {len(page)}\r\n\r\n"
    stream.send_multipart([peer, header.encode() + page])


def fetch(endpoint: str) -> bytes:
    """A plain HTTP client, which has never heard of ZeroMQ."""
    host, port = endpoint.removeprefix("tcp://").split(":")
    client = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
    with closing(client):
        client.request("GET", "/")
        return client.getresponse().read()


def _dial(endpoint: str) -> socket.socket:
    host, port = endpoint.removeprefix("tcp://").split(":")
    return socket.create_connection((host, int(port)), PATIENCE_S)


def test_a_stream_socket_answers_a_plain_http_client(
    context: zmq.SyncContext, in_thread: InThread
) -> None:
    """A STREAM socket answers a plain HTTP client."""
    with context.socket(zmq.STREAM) as stream:
        page = in_thread(fetch, bind_anywhere(stream))
        peer, request = read_request(stream)
        assert request.startswith(b"GET / HTTP/1.1\r\n")
        answer(stream, peer, b"<h1>It works</h1>")
        assert page.result(PATIENCE_S) == b"<h1>It works</h1>"


def test_a_stream_gives_pieces_not_messages(context: zmq.SyncContext) -> None:
    """STREAM hands over pieces: one request may come as two messages."""
    with (
        context.socket(zmq.STREAM) as stream,
        _dial(bind_anywhere(stream)) as client,
    ):
        stream.recv_multipart()  # it came
        client.sendall(b"GET / HT")
        _, first = stream.recv_multipart()
        client.sendall(b"TP/1.1\r\n\r\n")
        _, second = stream.recv_multipart()
    assert (first, second) == (b"GET / HT", b"TP/1.1\r\n\r\n")


def test_the_program_must_put_the_pieces_together(
    context: zmq.SyncContext,
) -> None:
    """With STREAM, finding where a request ends is the program's own work."""
    with (
        context.socket(zmq.STREAM) as stream,
        _dial(bind_anywhere(stream)) as long,
        _dial(stream.get_string(zmq.LAST_ENDPOINT)) as other,
    ):
        sent = b"GET / HTTP/1.1\r\nCookie: %b\r\n\r\n" % (b"x" * 20_000)
        other.sendall(b"GET /other HTTP")
        long.sendall(sent)  # more than STREAM reads at once
        peer, request = read_request(stream)
        assert request == sent
        answer(stream, peer, b"page")
        with closing(http.client.HTTPResponse(long)) as response:
            response.begin()
            assert response.read() == b"page"


def test_an_empty_piece_hangs_up(
    context: zmq.SyncContext, in_thread: InThread
) -> None:
    """To close one TCP connection, send its peer an empty piece."""
    with (
        context.socket(zmq.STREAM) as stream,
        _dial(bind_anywhere(stream)) as client,
    ):
        peer, _ = stream.recv_multipart()
        end = in_thread(client.recv, 1)
        stream.send_multipart([peer, b""])
        # The socket closes the connection while the program uses it.
        wait_until(lambda: not stream.poll(0) and end.done(), "hung up")
        assert end.result() == b""


def test_a_peer_that_comes_or_goes_is_an_empty_message(
    context: zmq.SyncContext,
) -> None:
    """STREAM reports a peer that came, and one that went, as empty pieces."""
    with context.socket(zmq.STREAM) as stream:
        with _dial(bind_anywhere(stream)):
            came = stream.recv_multipart()
        went = stream.recv_multipart()
    assert came == went
    assert came[1] == b""


def test_a_zeromq_socket_does_not_speak_http(
    context: zmq.SyncContext,
) -> None:
    """A REP greets an HTTP client in ZeroMQ's protocol and hears nothing."""
    with (
        context.socket(zmq.REP) as server,
        _dial(bind_anywhere(server)) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        greeting = client.recv(10, socket.MSG_WAITALL)
        assert is_silent(server)
    # The signature of ZMTP (RFC 23); the eight bytes between are padding.
    assert (greeting[:1], greeting[9:]) == (b"\xff", b"\x7f")
