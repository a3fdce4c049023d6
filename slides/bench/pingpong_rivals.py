"""The rivals of REQ/REP: raw TCP, HTTP/1.1 keep-alive, gRPC.

Every rival carries the same serialized Ping to the same `answer` function
and back, so that what differs is how it travelled. Each server announces
its address on stdout and runs until it is killed; each client is a function
that sends one request and returns the reply.
"""

import http.client
import http.server
import socket
import socketserver
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from pingpong.server import answer

Ask = Callable[[bytes], bytes]
LENGTH = struct.Struct("!I")
TIMEOUT = 10  # seconds
HOST = "127.0.0.1"


def reply_to(request: bytes) -> bytes:
    return answer([request]).SerializeToString()


def read(stream: socket.socket, size: int) -> bytes:
    """Collect until the message is whole: a stream has no messages."""
    data = b""
    while len(data) < size:
        more = stream.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def read_message(stream: socket.socket) -> bytes:
    (size,) = LENGTH.unpack(read(stream, LENGTH.size))
    return read(stream, size)


class TcpHandler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while True:
                reply = reply_to(read_message(self.request))
                self.request.sendall(LENGTH.pack(len(reply)) + reply)
        except EOFError:
            return


@contextmanager
def tcp_client(address: str) -> Iterator[Ask]:
    with socket.create_connection((HOST, int(address)), TIMEOUT) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def ask(request: bytes) -> bytes:
            stream.sendall(LENGTH.pack(len(request)) + request)
            return read_message(stream)

        yield ask


class HttpHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keep-alive
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one piece

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        reply = reply_to(self.rfile.read(size))
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def http_client(address: str) -> Iterator[Ask]:
    # http.client sets TCP_NODELAY itself.
    connection = http.client.HTTPConnection(HOST, int(address), TIMEOUT)

    def ask(request: bytes) -> bytes:
        connection.request("POST", "/", request)
        return connection.getresponse().read()

    try:
        yield ask
    finally:
        connection.close()


def serve_stream(handler: type[socketserver.BaseRequestHandler]) -> None:
    with socketserver.ThreadingTCPServer((HOST, 0), handler) as server:
        server.daemon_threads = True
        print(server.server_address[1], flush=True)
        server.serve_forever()


def serve_tcp() -> None:
    serve_stream(TcpHandler)


def serve_http() -> None:
    serve_stream(HttpHandler)


def serve_grpc(answer: Ask = reply_to, address: str = f"{HOST}:0") -> None:
    """One method from bytes to bytes, without generated code."""
    import grpc

    method = grpc.unary_unary_rpc_method_handler(lambda data, _: answer(data))
    handler = grpc.method_handlers_generic_handler("Bench", {"Ask": method})
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port(address)
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


@contextmanager
def grpc_client(address: str) -> Iterator[Ask]:
    import grpc

    target = address if ":" in address else f"{HOST}:{address}"
    with grpc.insecure_channel(target) as channel:
        call = channel.unary_unary("/Bench/Ask")
        yield lambda request: call(request, timeout=TIMEOUT)
