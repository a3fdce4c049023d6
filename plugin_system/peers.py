"""Echo servers that `bench` sets beside a plugin, each in its own process.

python -m plugin_system.peers zmq|grpc ENDPOINT
"""

import sys
from collections.abc import Callable
from concurrent import futures
from multiprocessing.connection import Connection
from typing import Any

from plugin_system.sdk import Plugin

plugin = Plugin()


@plugin.method
def echo(data: bytes) -> bytes:
    return data


def pipe(connection: Connection) -> None:
    """Echo on a multiprocessing.Pipe until the other end closes it."""
    try:
        while True:
            connection.send_bytes(connection.recv_bytes())
    except EOFError:
        return


def zmq(endpoint: str) -> None:
    """A bare REP: no schema, no deadline, no check."""
    import zmq as pyzmq

    with pyzmq.Context() as context, context.socket(pyzmq.REP) as replies:
        replies.bind(endpoint)
        print("ready", flush=True)
        while True:
            replies.send(replies.recv())


def grpc(endpoint: str) -> None:
    """A unary method whose messages are bytes, without protobuf."""
    import grpc as grpcio

    def answer(request: bytes, _context: Any) -> bytes:
        return request

    server = grpcio.server(futures.ThreadPoolExecutor(1))
    handler = grpcio.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers(
        (grpcio.method_handlers_generic_handler("Echo", {"Do": handler}),)
    )
    server.add_insecure_port(endpoint)
    server.start()
    print("ready", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    servers: dict[str, Callable[[str], None]] = {"zmq": zmq, "grpc": grpc}
    servers[sys.argv[1]](sys.argv[2])
