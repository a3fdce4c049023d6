"""Fixtures of the chapters: patient contexts, threads and processes."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
import zmq

from tests.patterns.helpers import LOOPBACK, PATIENCE_S, make_patient, udp
from tests.support import Program, needs, skip_or_fail


@pytest.fixture(autouse=True)
def _no_wait_ends_by_patience_alone() -> Iterator[None]:
    """Fail a test that a socket's time-out has saved.

    A patient recv raises `zmq.Again` in the end, as one that should not wait
    does at once, and the two must not be taken for each other.
    """
    began = time.monotonic()
    yield
    assert time.monotonic() - began < PATIENCE_S, "something never happened"


@pytest.fixture
def in_thread() -> Iterator[Callable[..., Future[Any]]]:
    """Run `function(*args)` in a thread; its result is a future.

    A server may run for ever: terminating its context wakes it, and leaving
    by `ContextTerminated` is a good end. Any other exception fails the
    test, and so does a thread that does not end.
    """
    runs: list[tuple[Thread, Future[Any]]] = []

    def begin(function: Callable[..., Any], *args: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def body() -> None:
            try:
                future.set_result(function(*args))
            except Exception as error:  # noqa: BLE001 (the future has it)
                future.set_exception(error)

        thread = Thread(target=body, name=function.__name__, daemon=True)
        runs.append((thread, future))
        thread.start()
        return future

    yield begin
    for thread, future in runs:
        thread.join(PATIENCE_S)
        assert future.done(), f"thread {thread.name} did not end"
        with suppress(zmq.ContextTerminated):
            future.result()


@pytest.fixture
def new_context(
    in_thread: object,  # noqa: ARG001 (threads end after their contexts)
    new_context: Callable[[], zmq.SyncContext],
) -> Callable[[], zmq.SyncContext]:
    """Make contexts whose sockets wait with a bound (see `make_patient`).

    At the end each must terminate within a deadline, which also wakes every
    thread that still waits in it.
    """

    def make() -> zmq.SyncContext:
        context = new_context()
        make_patient(context)
        return context

    return make


@pytest.fixture
def spawn(
    start: Callable[..., Program],
) -> Callable[..., Program]:
    """Run `function(context, *args)` as a process; args must be strings.

    The function must be a public one of a chapter: the process imports it
    by name (see run.py).
    """

    def run(function: Callable[..., Any], *args: str) -> Program:
        target = f"{function.__module__}:{function.__qualname__}"
        return start("tests.patterns.run", target, *args)

    return run


@pytest.fixture
def ipc_folder() -> Iterator[Path]:
    """A private folder (mode 0700) with a name short enough for ipc."""
    folder = Path(tempfile.mkdtemp(prefix="zmq-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def endpoint(ipc_folder: Path) -> str:
    """An endpoint known before anyone binds it, and free to bind again.

    A tcp port that a killed server gives back may be taken by a stranger
    before the next server binds it; a path in a private folder may not.
    """
    return f"ipc://{ipc_folder}/socket"


@pytest.fixture
def tcp_endpoint() -> str:
    """A tcp endpoint that a second server can bind after the first died.

    All of 127.0.0.0/8 is loopback on Linux, so an address chosen at random
    is as good as a private one.
    """
    # Not by `random`: its seed is the same in every process of the suite.
    host = ".".join(["127", *(str(1 + n % 250) for n in os.urandom(3))])
    with socket.create_server((host, 0)) as free:
        return f"tcp://{host}:{free.getsockname()[1]}"


@pytest.fixture
def beacon_port() -> Iterator[int]:
    """A free UDP port, held for this test and open to those who share."""
    with udp() as holder:
        holder.bind((LOOPBACK, 0))
        yield int(holder.getsockname()[1])


@pytest.fixture
def hosts() -> Iterator[list[tuple[str, ...]]]:
    """Three hosts on one switch: 10.57.0.1, 10.57.0.2 and 10.57.0.3.

    Each is the command that runs a program there.
    """
    needs("ip")
    if os.geteuid():
        skip_or_fail("network namespaces need root")
    made: list[str] = []

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, timeout=10)

    def namespace() -> str:
        made.append(f"beyond-{uuid4().hex[:8]}")
        ip("netns", "add", made[-1])
        ip("-n", made[-1], "link", "set", "lo", "up")
        return made[-1]

    try:
        switch = namespace()
        ip("-n", switch, "link", "add", "sw0", "type", "bridge")
        ip("-n", switch, "link", "set", "sw0", "up")
        for number in (1, 2, 3):
            host, port = namespace(), f"port{number}"
            veth = ("type", "veth", "peer", "name", "eth0", "netns", host)
            address = f"10.57.0.{number}/24"
            ip("-n", switch, "link", "add", port, *veth)
            ip("-n", switch, "link", "set", port, "master", "sw0", "up")
            ip("-n", host, "address", "add", address, "dev", "eth0")
            ip("-n", host, "link", "set", "eth0", "up")
        yield [("ip", "netns", "exec", host) for host in made[1:]]
    finally:
        for name in made:
            ip("netns", "delete", name)
