"""Other ways to ask a process for an echo, beside `Executor.call`.

Each way is a server in a process of its own, and a function that asks it.
The servers die with the bench, however it dies, and Ctrl-C does not reach
them.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

import zmq

from pingpong.support.process import running
from plugin_system.host.launcher import die_with
from plugin_system.sdk import Plugin

DATA = bytes(100)
Ways = dict[str, Callable[[], Any]]

plugin = Plugin()


@plugin.method
def echo(data: bytes) -> bytes:
    return data


def ways(stack: ExitStack, left_out: dict[str, str]) -> Ways:
    """Return functions that ask, bare ZeroMQ first; `stack` ends the servers.

    The sockets lie in a folder of their own.
    """
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    with interrupts_blocked():
        found: Ways = {
            "bare REQ/REP over ipc, no deadline": _zmq(
                stack, f"ipc://{folder}/zmq"
            ),
            "multiprocessing.Pipe": _pipe(stack),
            "ProcessPoolExecutor.submit": _pool(stack),
        }
        try:
            found["gRPC over a Unix socket"] = _grpc(
                stack, f"unix:{folder}/grpc"
            )
        except ImportError:
            left_out["gRPC"] = "grpcio is not installed"
    return found


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Start processes that never hear of Ctrl-C: a mask is inherited.

    A terminal sends it to all of them, and each would print a traceback.
    Here it waits, since a start cut in half leaves a process behind.
    """
    heard: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    resource_tracker.ensure_running()  # its own start would lift the mask
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if heard:
        raise KeyboardInterrupt


def pool_of_one() -> ProcessPoolExecutor:
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        1, mp_context=spawn, initializer=die_with, initargs=(os.getpid(),)
    )


def _zmq(stack: ExitStack, endpoint: str) -> Callable[[], Any]:
    stack.enter_context(_server("zmq", endpoint))
    context = stack.enter_context(zmq.Context())
    requests = stack.enter_context(context.socket(zmq.REQ))
    requests.linger = 0
    requests.connect(endpoint)

    def ask() -> bytes:
        requests.send(DATA)
        return requests.recv()

    return ask


def _pipe(stack: ExitStack) -> Callable[[], Any]:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve_pipe, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    stack.callback(process.join, 5)
    stack.callback(ours.close)

    def ask() -> bytes:
        ours.send_bytes(DATA)
        return ours.recv_bytes()

    return ask


def _pool(stack: ExitStack) -> Callable[[], Any]:
    pool = stack.enter_context(pool_of_one())
    pool.submit(echo, DATA).result()  # starts its process
    return lambda: pool.submit(echo, DATA).result()


def _grpc(stack: ExitStack, endpoint: str) -> Callable[[], Any]:
    import grpc

    stack.enter_context(_server("grpc", endpoint))
    channel = stack.enter_context(grpc.insecure_channel(endpoint))
    method = channel.unary_unary("/Echo/Do")
    return lambda: method(DATA, timeout=10)


@contextmanager
def _server(kind: str, endpoint: str) -> Iterator[None]:
    code = f"from slides.bench import plugin_rivals as r; r.serve_{kind}"
    with running(sys.executable, "-c", f"{code}({endpoint!r})"):
        yield


def serve_pipe(connection: Connection) -> None:
    """Echo on a multiprocessing.Pipe until the other end closes it."""
    try:
        while True:
            connection.send_bytes(connection.recv_bytes())
    except EOFError:
        return


def serve_zmq(endpoint: str) -> None:
    """A bare REP: no schema, no deadline, no check."""
    with zmq.Context() as context, context.socket(zmq.REP) as replies:
        replies.bind(endpoint)
        print("ready", flush=True)
        while True:
            replies.send(replies.recv())


def serve_grpc(endpoint: str) -> None:
    """A unary method whose messages are bytes, without protobuf."""
    import grpc

    def answer(request: bytes, _context: Any) -> bytes:
        return request

    server = grpc.server(ThreadPoolExecutor(1))
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("Echo", {"Do": handler}),)
    )
    server.add_insecure_port(endpoint)
    server.start()
    print("ready", flush=True)
    server.wait_for_termination()
