"""Other ways to ask a process for an echo, beside `Executor.call`.

Each way is a server in a process of its own, and a function that asks it.
The servers die with the bench, however it dies, and Ctrl-C does not reach
them.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from multiprocessing import resource_tracker
from multiprocessing.connection import Client, Listener
from typing import Any

import zmq

from pingpong.support.process import running
from plugin_system.host.launcher import die_with
from plugin_system.host.runtime_folder import RuntimeFolder
from plugin_system.sdk import Plugin
from slides.bench import pingpong_rivals
from slides.bench.pingpong_rivals import grpc_client

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
    runtime = RuntimeFolder()  # the next one sweeps it, should this be killed
    stack.callback(runtime.close)
    folder = runtime.path
    with interrupts_blocked():
        found: Ways = {
            "bare REQ/REP over ipc, no deadline": _zmq(
                stack, f"ipc://{folder}/zmq"
            ),
            "multiprocessing.Pipe": _pipe(stack, f"{folder}/pipe"),
            "ProcessPoolExecutor.submit": _pool(stack),
        }
        if find_spec("grpc"):
            found["gRPC over a Unix socket"] = _grpc(
                stack, f"unix:{folder}/grpc"
            )
        else:
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


def _pipe(stack: ExitStack, path: str) -> Callable[[], Any]:
    stack.enter_context(_server("pipe", path))
    ours = stack.enter_context(Client(path))

    def ask() -> bytes:
        ours.send_bytes(DATA)
        return ours.recv_bytes()

    return ask


def _pool(stack: ExitStack) -> Callable[[], Any]:
    pool = stack.enter_context(pool_of_one())
    pool.submit(echo, DATA).result()  # starts its process
    return lambda: pool.submit(echo, DATA).result()


def _grpc(stack: ExitStack, address: str) -> Callable[[], Any]:
    stack.enter_context(_server("grpc", address))
    ask = stack.enter_context(grpc_client(address))
    return lambda: ask(DATA)


@contextmanager
def _server(kind: str, endpoint: str) -> Iterator[None]:
    code = f"from slides.bench import plugin_rivals as r; r.serve_{kind}"
    with running(sys.executable, "-c", f"{code}({endpoint!r})"):
        yield


def serve_pipe(path: str) -> None:
    """Echo on what `multiprocessing.Pipe` returns: a Connection."""
    with Listener(path) as listener:
        print("ready", flush=True)
        with listener.accept() as connection:
            while True:
                connection.send_bytes(connection.recv_bytes())


def serve_zmq(endpoint: str) -> None:
    """A bare REP: no schema, no deadline, no check."""
    with zmq.Context() as context, context.socket(zmq.REP) as replies:
        replies.bind(endpoint)
        print("ready", flush=True)
        while True:
            replies.send(replies.recv())


def serve_grpc(address: str) -> None:
    pingpong_rivals.serve_grpc(echo, address)
