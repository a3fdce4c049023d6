"""How long a ping takes over each transport, and with the rivals.

Each server is a process of its own, except over inproc, where it is a
thread by nature. A contender is a function that sends so many pings, one
after the other, and returns the seconds that each took.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import zmq

import pingpong
from pingpong.client import Client
from pingpong.messages_pb2 import Ping
from pingpong.server import serve
from pingpong.support.process import running, server_command
from pingpong.support.stop import Stop
from slides.bench import nginx
from slides.bench import pingpong_rivals as rivals
from slides.bench.kit import Bench, libzmq_of_c, new, row, seconds

Measure = Callable[[int], list[float]]

ROUNDS = 10
WARM_UP = 20  # pings at the start of each round that do not count
BASELINE = "REQ/REP, tcp"
C_TWIN = Path(pingpong.__file__).parent / "c" / "build"


def measure(
    count: int, size: int = 64, say: Callable[[str], None] = lambda _: None
) -> Bench:
    """Send `count` pings of `size` bytes by every means that is at hand."""
    bench = new("grpcio", **libzmq_of_c())
    bench.about = f"{count} pings of {size} bytes each, one by one."
    with ExitStack() as stack:
        contenders = line_up(stack, size, bench.left_out)
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(ROUNDS):
            say(f"round {number + 1} of {ROUNDS}")
            share = count * (number + 1) // ROUNDS - count * number // ROUNDS
            for name, ping in contenders.items():
                times[name] += ping(share + WARM_UP)[WARM_UP:]
    base = median(times[BASELINE])
    bench.rows = [
        row(name, taken, median(taken) / base)
        for name, taken in times.items()
    ]
    return bench


def line_up(
    stack: ExitStack, size: int, left_out: dict[str, str]
) -> dict[str, Measure]:
    """Start every server; return how to measure each."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    payload = os.urandom(size)
    enter = stack.enter_context
    http = rivals.http_client
    contenders = {
        BASELINE: enter(req_rep("tcp://127.0.0.1:*", payload)),
        "REQ/REP, ipc": enter(req_rep(f"ipc://{folder}/py", payload)),
        "REQ/REP, inproc": enter(req_rep_inproc(payload)),
        "raw TCP socket": enter(
            rival(python("serve_tcp"), rivals.tcp_client, payload)
        ),
        "HTTP/1.1 keep-alive": enter(
            rival(python("serve_http"), http, payload)
        ),
    }
    try:
        server = nginx.serving(Path(folder))
        contenders["nginx and uWSGI"] = enter(rival(server, http, payload))
    except ChildProcessError as error:
        left_out["nginx and uWSGI"] = str(error)
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
            rival(python("serve_grpc"), rivals.grpc_client, payload)
        )
    else:
        left_out["gRPC"] = "grpcio is not installed"
    return contenders


def clocked(client: Client, payload: bytes) -> Measure:
    """Time what a user calls: `ask`, with its checks and its deadline."""

    def times(count: int) -> list[float]:
        pings = [Ping(id=n + 1, payload=payload) for n in range(count)]
        return [seconds(partial(client.ask, ping)) for ping in pings]

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
        context.socket(zmq.REP) as rep,
        ThreadPoolExecutor(1) as pool,
        Stop() as never,
        Client(context, "inproc://bench", never) as client,
    ):
        rep.bind("inproc://bench")
        pool.submit(serve, rep, stop)
        try:
            yield clocked(client, payload)
        finally:
            stop.set()


@contextmanager
def python(serve: str) -> Iterator[str]:
    """A server of the rivals in a process of its own; yields its port."""
    code = f"from slides.bench import pingpong_rivals as r; r.{serve}()"
    with running(sys.executable, "-c", code) as (_, address):
        yield address


@contextmanager
def rival(
    server: AbstractContextManager[str],
    connect: Callable[[str], AbstractContextManager[rivals.Ask]],
    payload: bytes,
) -> Iterator[Measure]:
    request = Ping(id=1, payload=payload).SerializeToString()
    with server as address, connect(address) as ask:
        yield lambda count: [
            seconds(lambda: ask(request)) for _ in range(count)
        ]


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
