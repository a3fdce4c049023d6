"""The baselines of REQ/REP: raw TCP, HTTP/1.1 keep-alive, nginx, gRPC.

All carry the same serialized Ping to the same `answer` and back, so that
only the transport differs. A server announces its address on stdout and runs
until it is killed; a client is a function that sends one request and returns
the reply. For uWSGI this module is the application.
"""

import http.client
import http.server
import os
import shutil
import socket
import socketserver
import struct
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pingpong.server import answer
from pingpong.support.process import running

Ask = Callable[[bytes], bytes]
LENGTH = struct.Struct("!I")
TIMEOUT = 10  # seconds
HOST = "127.0.0.1"


def reply_to(request: bytes) -> bytes:
    return answer([request]).SerializeToString()


def framed(message: bytes) -> bytes:
    return LENGTH.pack(len(message)) + message


class TcpHandler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        while head := self.rfile.read(LENGTH.size):
            request = self.rfile.read(*LENGTH.unpack(head))
            self.wfile.write(framed(reply_to(request)))


@contextmanager
def tcp_client(address: str) -> Iterator[Ask]:
    with socket.create_connection((HOST, int(address)), TIMEOUT) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        replies = stream.makefile("rb")

        def ask(request: bytes) -> bytes:
            stream.sendall(framed(request))
            return replies.read(*LENGTH.unpack(replies.read(LENGTH.size)))

        with replies:
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

    with closing(connection):
        yield ask


def serve(kind: str, core: str = "") -> None:
    """Run the server of that kind, on one core if it is told which."""
    if core:
        os.sched_setaffinity(0, {int(core)})
    handler = {"tcp": TcpHandler, "http": HttpHandler}[kind]
    with socketserver.ThreadingTCPServer((HOST, 0), handler) as server:
        server.daemon_threads = True
        print(server.server_address[1], flush=True)
        server.serve_forever()


def serve_grpc(address: str = f"{HOST}:0", service: str = "ping") -> None:
    """One method from bytes to bytes, without generated code."""
    import grpc

    reply: Ask = reply_to if service == "ping" else bytes
    method = grpc.unary_unary_rpc_method_handler(lambda data, _: reply(data))
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


UWSGI = ("uwsgi_python3", "uwsgi")  # Debian's name, and that of pyuwsgi
CONFIG = """
daemon off; master_process off; error_log stderr notice; pid {folder}/pid;
events {{}}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; scgi_temp_path {folder}/scgi;
  uwsgi_temp_path {folder}/uwsgi;
  server {{
    listen {host}:{port};
    location / {{
      uwsgi_pass unix:{folder}/app;
      uwsgi_param REQUEST_METHOD $request_method;
      uwsgi_param CONTENT_LENGTH $content_length;
      uwsgi_param PATH_INFO $document_uri;
      uwsgi_param SERVER_PROTOCOL $server_protocol;
    }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path) -> Iterator[str]:
    """Run both until this process ends; yield the port.

    Raises ChildProcessError where one is missing, or uWSGI was built for
    another Python.
    """
    program = next(filter(None, map(shutil.which, UWSGI)), None)
    if not (program and shutil.which("nginx")):
        raise ChildProcessError("not installed")
    uwsgi = [
        *(program, "--socket", f"{folder}/app", "--need-app"),
        *("--virtualenv", sys.prefix, "--pythonpath", str(Path.cwd())),
        *("--module", "slides.bench.baselines:application"),
        "--disable-logging",
    ]
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, host=HOST, port=port))
    nginx = ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(config)]
    with (
        # uWSGI turns what is printed to stderr: so the word comes by 9.
        running("sh", "-c", 'exec "$@" 9>&1 2> /dev/null', "sh", *uwsgi),
        # The first notice follows the bind.
        running("sh", "-c", 'exec "$@" 2>&1', "sh", *nginx),
    ):
        yield str(port)


def application(
    environ: dict[str, Any], start_response: Callable[..., object]
) -> list[bytes]:
    size = int(environ["CONTENT_LENGTH"])
    reply = reply_to(environ["wsgi.input"].read(size))
    start_response("200 OK", [("Content-Length", str(len(reply)))])
    return [reply]


if "uwsgi" in sys.modules:
    os.write(9, b"ready\n")
