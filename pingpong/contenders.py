"""Who takes part in the bench, and how one round of each is clocked.

Each server is a process of its own, except over inproc, where it is a
thread by nature. A contender is a function that sends so many pings, one
after the other, and returns the seconds that each took.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import zmq

from pingpong import rivals
from pingpong.client import Client
from pingpong.messages_pb2 import Ping
from pingpong.server import serve
from pingpong.support.bind import bound
from pingpong.support.pings import pings
from pingpong.support.process import running, server_command
from pingpong.support.stats import Report
from pingpong.support.stop import Stop

Measure = Callable[[int], list[float]]

C_TWIN = Path(__file__).parent / "c" / "build"
BASELINE = "REQ/REP, tcp"


def line_up(
    stack: ExitStack, size: int
) -> tuple[dict[str, Measure], dict[str, str]]:
    """Start every server; return how to measure each, and who is missing."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    payload = os.urandom(size)
    enter = stack.enter_context
    contenders = {
        BASELINE: enter(req_rep("tcp://127.0.0.1:*", payload)),
        "REQ/REP, ipc": enter(req_rep(f"ipc://{folder}/py", payload)),
        "REQ/REP, inproc": enter(req_rep_inproc(payload)),
        "raw TCP socket": enter(
            rival("serve_tcp", rivals.tcp_client, payload)
        ),
        "HTTP/1.1 keep-alive": enter(
            rival("serve_http", rivals.http_client, payload)
        ),
    }
    left_out = {}
    if (C_TWIN / "client").exists():
        for name, endpoint in (
            ("C on libzmq, tcp", "tcp://127.0.0.1:*"),
            ("C on libzmq, ipc", f"ipc://{folder}/c"),
        ):
            contenders[name] = enter(c_twin(endpoint, size))
    else:
        left_out["C on libzmq"] = "not built; run `make pingpong-c`"
    if find_spec("grpc"):
        contenders["gRPC"] = enter(
            rival("serve_grpc", rivals.grpc_client, payload)
        )
    else:
        left_out["gRPC"] = "grpcio is not installed"
    return contenders, left_out


def clocked(client: Client, payload: bytes) -> Measure:
    def times(count: int) -> list[float]:
        report = Report()
        for outcome in pings(client, count=count, payload=payload):
            report.add(outcome)
        if report.received < count:
            raise ChildProcessError(f"the server failed: {report.reasons}")
        return report.times

    return times


@contextmanager
def req_rep(endpoint: str, payload: bytes) -> Iterator[Measure]:
    with (
        running(*server_command(endpoint)) as (_, real),
        zmq.Context() as context,
        Stop() as stop,
        Client(context, real, stop) as client,
    ):
        yield clocked(client, payload)


@contextmanager
def req_rep_inproc(payload: bytes) -> Iterator[Measure]:
    with (
        zmq.Context() as context,
        Stop() as stop,
        bound(context, zmq.REP, "inproc://bench") as rep,
        ThreadPoolExecutor(1) as pool,
        Stop() as never,
        Client(context, "inproc://bench", never) as client,
    ):
        pool.submit(serve, rep, stop)
        try:
            yield clocked(client, payload)
        finally:
            stop.set()


@contextmanager
def rival(
    serve: str,
    connect: Callable[[str], AbstractContextManager[rivals.Ask]],
    payload: bytes,
) -> Iterator[Measure]:
    code = f"from pingpong import rivals; rivals.{serve}()"
    request = Ping(id=1, payload=payload).SerializeToString()
    with (
        running(sys.executable, "-c", code) as (_, address),
        connect(address) as ask,
    ):

        def times(count: int) -> list[float]:
            taken = []
            for _ in range(count):
                began = time.perf_counter()
                ask(request)
                taken.append(time.perf_counter() - began)
            return taken

        yield times


@contextmanager
def c_twin(endpoint: str, size: int) -> Iterator[Measure]:
    with running(str(C_TWIN / "server"), endpoint) as (_, real):

        def times(count: int) -> list[float]:
            command = [str(C_TWIN / "client"), real, str(count), str(size)]
            output = subprocess.run(
                command, capture_output=True, text=True, timeout=600
            ).stdout
            taken = re.findall(r"^pong .* time=(.*) ms$", output, re.M)
            if len(taken) < count:
                raise ChildProcessError("the C client failed")
            return [float(each) / 1e3 for each in taken]

        yield times
