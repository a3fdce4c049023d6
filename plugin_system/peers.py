"""Other ways to ask a process for an echo: what `bench` sets beside a call.

Each way is a server in a process of its own, and a function that asks it.
The servers die with the bench, however that dies, and never hear of Ctrl-C.

python -m plugin_system.peers zmq|grpc ENDPOINT HOST_PID
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

import zmq

from plugin_system.host.launcher import die_with
from plugin_system.host.runtime_folder import RuntimeFolder
from plugin_system.sdk import Plugin

DATA = bytes(100)
Ways = dict[str, Callable[[], Any]]

plugin = Plugin()


@plugin.method
def echo(data: bytes) -> bytes:
    return data


def ways(stack: ExitStack) -> tuple[Ways, list[str]]:
    """Return functions that ask, bare ZeroMQ first, and what was left out.

    `stack` ends the servers.
    """
    folder = RuntimeFolder()
    stack.callback(folder.close)
    with unheard_interrupts():
        found: Ways = {
            "bare REQ/REP over ipc, no deadline": _zmq(
                stack, f"ipc://{folder.path}/zmq"
            ),
            "multiprocessing.Pipe": _pipe(stack),
            "ProcessPoolExecutor.submit": _pool(stack),
        }
        try:
            found["gRPC over a Unix socket"] = _grpc(
                stack, f"unix:{folder.path}/grpc"
            )
        except ImportError:
            return found, ["gRPC, since grpcio is not installed"]
    return found, []


@contextmanager
def unheard_interrupts() -> Iterator[None]:
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
    module = [sys.executable, "-m", "plugin_system.peers"]
    with subprocess.Popen(
        [*module, kind, endpoint, str(os.getpid())], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout  # noqa: S101  (it was asked for)
            process.stdout.readline()  # "ready", or nothing if it died
            yield
        finally:
            process.kill()


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


def main(kind: str, endpoint: str, host_pid: str) -> None:
    die_with(int(host_pid))
    serve = {"zmq": serve_zmq, "grpc": serve_grpc}[kind]
    serve(endpoint)


if __name__ == "__main__":
    main(*sys.argv[1:])
