"""How long a ping takes over each transport, and over raw TCP, HTTP, gRPC.

Each server is a process, except over inproc. Each program gets a function
that sends so many pings, one by one, and returns the seconds of each.
"""

import os
import re
import subprocess
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
from slides.bench import baselines, kit
from slides.bench.kit import Bench, Say, in_python, new, row, seconds

Measure = Callable[[int], list[float]]

ROUNDS = 10
WARM_UP = 20  # pings at the start of each round that do not count
OURS = "REQ/REP, tcp"
PAYLOAD = os.urandom(64)
C_TWIN = Path(pingpong.__file__).parent / "c" / "build"


def measure(count: int, say: Say = lambda _: None) -> Bench:
    """Send `count` pings by every means that is at hand."""
    bench = new("grpcio", **kit.libzmq_of_c())
    with ExitStack() as stack:
        programs = line_up(stack, bench.left_out)
        times: dict[str, list[float]] = {name: [] for name in programs}
        for number in range(ROUNDS):
            say(f"round {number + 1} of {ROUNDS}")
            for name, ping in programs.items():
                times[name] += ping(count // ROUNDS + WARM_UP)[WARM_UP:]
    base = median(times[OURS])
    bench.rows = [
        row(k, each, median(each) / base) for k, each in times.items()
    ]
    return bench


def line_up(stack: ExitStack, left_out: dict[str, str]) -> dict[str, Measure]:
    """Start every server; return how to measure each."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    enter = stack.enter_context
    http = partial(baseline, baselines.http_client)
    programs = {
        OURS: enter(req_rep("tcp://127.0.0.1:*")),
        "REQ/REP, ipc": enter(req_rep(f"ipc://{folder}/py")),
        "REQ/REP, inproc": enter(req_rep_inproc()),
        "HTTP/1.1 keep-alive": enter(http(python(baselines.serve, "http"))),
    }
    cores = sorted(os.sched_getaffinity(0))
    for core, where in zip(cores, ("one core", "two cores"), strict=False):
        server = python(baselines.serve, "tcp", core)
        ping = enter(baseline(baselines.tcp_client, server))
        programs[f"raw TCP socket, {where}"] = pinned(ping, cores[0])
    if len(cores) == 1:
        left_out["raw TCP socket, two cores"] = "there is only one"
    try:
        server = baselines.nginx(Path(folder))
        programs["nginx and uWSGI"] = enter(http(server))
    except ChildProcessError as error:
        left_out["nginx and uWSGI"] = str(error)
    if (C_TWIN / "client").exists():
        programs["C on libzmq, tcp"] = enter(c_twin())
    else:
        left_out["C on libzmq"] = "not built; run `make pingpong-c`"
    if find_spec("grpc"):
        server = python(baselines.serve_grpc)
        programs["gRPC"] = enter(baseline(baselines.grpc_client, server))
    else:
        left_out["gRPC"] = "grpcio is not installed"
    return programs


def pinned(ping: Measure, core: int) -> Measure:
    """Keep the client on `core`; the server pins itself."""

    def times(count: int) -> list[float]:
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})
        try:
            return ping(count)
        finally:
            os.sched_setaffinity(0, before)

    return times


def clocked(client: Client) -> Measure:
    """Time what a user calls: `ask`, with its checks and its deadline."""

    def times(count: int) -> list[float]:
        pings = [Ping(id=n + 1, payload=PAYLOAD) for n in range(count)]
        return [seconds(partial(client.ask, ping)) for ping in pings]

    return times


@contextmanager
def req_rep(endpoint: str) -> Iterator[Measure]:
    with (
        running(*server_command(endpoint)) as (_, real),
        zmq.Context() as context,
        Stop() as stop,
        Client(context, real, stop) as client,
    ):
        yield clocked(client)


@contextmanager
def req_rep_inproc() -> Iterator[Measure]:
    with (
        zmq.Context() as context,
        Stop() as stop,
        context.socket(zmq.REP) as rep,
        ThreadPoolExecutor(1) as pool,
        Client(context, "inproc://bench", stop) as client,
    ):
        rep.bind("inproc://bench")
        pool.submit(serve, rep, stop)
        try:
            yield clocked(client)
        finally:
            stop.set()


@contextmanager
def python(serve: Callable[..., None], *arguments: object) -> Iterator[str]:
    """Run a server of the baselines in its own process; yield its port."""
    with running(*in_python(serve, *arguments)) as (_, address):
        yield address


@contextmanager
def baseline(
    connect: Callable[[str], AbstractContextManager[baselines.Ask]],
    server: AbstractContextManager[str],
) -> Iterator[Measure]:
    request = Ping(id=1, payload=PAYLOAD).SerializeToString()
    with server as address, connect(address) as ask:
        yield lambda count: [
            seconds(lambda: ask(request)) for _ in range(count)
        ]


@contextmanager
def c_twin() -> Iterator[Measure]:
    with running(str(C_TWIN / "server"), "tcp://127.0.0.1:*") as (_, real):

        def times(count: int) -> list[float]:
            numbers = str(count), str(len(PAYLOAD))
            output = subprocess.run(
                [C_TWIN / "client", real, *numbers],
                capture_output=True,
                text=True,
                timeout=600,
            ).stdout
            taken = re.findall(r"^pong .* time=(.*) ms$", output, re.M)
            if len(taken) < count:
                raise ChildProcessError("the C client failed")
            return [float(each) / 1e3 for each in taken]

        yield times
