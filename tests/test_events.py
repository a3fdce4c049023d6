"""Events: news of a running program, which it never waits to be rid of.

Each of the three packages has the same small PUB, off by default.
"""

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zmq

from image_pipeline.demo.photographs import photograph
from image_pipeline.transport import events as pipeline
from pingpong.support import events as pingpong
from plugin_system import events as plugins
from tests.support import PATIENCE_S, ROOT, Program

MODULES = [
    ROOT / "pingpong" / "support" / "events.py",
    ROOT / "image_pipeline" / "transport" / "events.py",
    ROOT / "plugin_system" / "events.py",
]


@pytest.fixture
def listener() -> Iterator["zmq.SyncSocket"]:
    """A SUB that binds; it hears the programs that connect to it."""
    with zmq.Context() as context, context.socket(zmq.SUB) as sub:
        sub.linger = 0
        sub.bind("tcp://127.0.0.1:*")
        sub.subscribe(b"")
        yield sub


def endpoint_of(listener: "zmq.SyncSocket") -> str:
    return str(listener.get_string(zmq.LAST_ENDPOINT))


def heard(listener: "zmq.SyncSocket", *topics: str) -> list[Any]:
    """Wait until each topic was heard; return the news."""
    wanted, news = set(topics), []
    ends = time.monotonic() + PATIENCE_S
    while wanted:
        left = ends - time.monotonic()
        assert left > 0 and listener.poll(int(left * 1000)), f"no {wanted}"
        topic, text = listener.recv_multipart()
        wanted.discard(topic.decode())
        news.append((topic.decode(), json.loads(text)))
    return news


@pytest.fixture
def server() -> Iterator[str]:
    program = Program("pingpong", "server", "--bind", "tcp://127.0.0.1:*")
    yield program.wait_for(r"Listening on (\S+)")[1]
    program.close()


def test_a_ping_pong_client_publishes_each_pong(
    listener: "zmq.SyncSocket", server: str
) -> None:
    more = ("-c", "0", "-i", "0.05", "--events", endpoint_of(listener))
    with closing(Program("pingpong", "client", "--connect", server, *more)):
        news = heard(listener, "pingpong.pong")

    assert news[0][1]["client"] == 1
    assert news[0][1]["seq"] >= 1


def test_a_run_of_the_pipeline_publishes_how_each_file_ends(
    listener: "zmq.SyncSocket", tmp_path: Path
) -> None:
    """The trap: a PUB drops what it tells before its SUB is connected.

    So what is to be heard must take longer than a handshake.
    """
    folder = tmp_path / "photographs"
    folder.mkdir()
    photo = photograph(1)
    for number in range(9):
        (folder / f"{number}.jpg").write_bytes(photo)
    run = Program(
        *("image_pipeline", "run", str(folder), str(tmp_path / "out")),
        *("-j", "1", "--events", endpoint_of(listener)),
    )
    with closing(run):
        news = heard(listener, "pipeline.made")
        assert run.wait() == 0

    assert re.fullmatch(r"\d\.jpg", news[-1][1]["source"])


@pytest.mark.slow
def test_an_executor_publishes_the_outcome_of_each_call(
    listener: "zmq.SyncSocket",
) -> None:
    more = ("--events", endpoint_of(listener))
    outcomes = ("reply", "PluginCrashed")
    with closing(Program("plugin_system", "demo", *more)):
        news = heard(listener, *(f"plugin.{each}" for each in outcomes))

    assert (
        "plugin.PluginCrashed",
        {"plugin": "chaos", "method": "crash"},
    ) in (news)


@pytest.mark.parametrize(
    "events", [pingpong.Events, pipeline.Events, plugins.Events]
)
def test_neither_nobody_nor_a_deaf_subscriber_delays_a_program(
    events: Any,
) -> None:
    """What a queue has no place for is dropped, and the program goes on."""
    with (
        zmq.Context() as context,
        context.socket(zmq.SUB) as deaf,
        socket.socket() as nobody,
    ):
        deaf.linger, deaf.rcvhwm, deaf.rcvbuf = 0, 1, 4096
        deaf.bind("tcp://127.0.0.1:*")
        deaf.subscribe(b"")
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        absent = f"tcp://127.0.0.1:{nobody.getsockname()[1]}"
        for endpoint in ("", absent, endpoint_of(deaf)):
            with closing(events(endpoint)) as published:
                ends = time.monotonic() + PATIENCE_S
                while endpoint == endpoint_of(deaf) and not deaf.poll(10):
                    published.tell("first")
                    assert time.monotonic() < ends
                for number in range(10_000):
                    published.tell("more", number=number, text="." * 1000)
                assert time.monotonic() < ends


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.parts[-3])
def test_the_three_packages_carry_the_same_small_module(module: Path) -> None:
    lines = module.read_text().splitlines()
    first = MODULES[0].read_text().splitlines()
    other = [(a, b) for a, b in zip(lines, first, strict=True) if a != b]

    assert len(lines) <= 40
    assert all('such as b"' in line for line, _ in other)


def test_an_endpoint_that_is_none_is_refused_in_a_sentence() -> None:
    with closing(
        Program("pingpong", "client", "--events", "nonsense")
    ) as run:
        assert run.wait() == 2
    assert "nonsense" in run.stderr and "Traceback" not in run.stderr
