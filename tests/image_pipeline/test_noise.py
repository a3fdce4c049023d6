"""Noise at each bound socket, thousands of times: it costs nothing at all."""

import random
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zmq

from image_pipeline import messages
from image_pipeline import messages_pb2 as pb
from tests.image_pipeline.stage import (
    GREETING,
    endpoints_of_our_own,
    make_photos,
)
from tests.support import Program

pytestmark = pytest.mark.slow

IMAGES = 60
MESSAGES = 1_500
KNOCKS = 150
MIB = 2**20
STEADY = 8 * MIB  # what may be added by five times as much noise


def noise(rng: random.Random) -> list[bytes]:
    """Draw a message: random bytes, or a true one with bytes replaced."""
    if rng.random() < 0.5:
        return [
            rng.randbytes(rng.randrange(12_000))
            for _ in range(rng.randint(1, 4))
        ]
    reports = pb.Reports(
        reports=[
            pb.Report(
                id=messages.id_of(rng.getrandbits(32), number),
                stage=pb.Stage.Name(rng.choice(pb.Stage.values())),
                worker="stranger",
                reason=rng.randbytes(8_000).hex(),
            )
            for number in range(rng.randint(1, 4))
        ]
    )
    message: Any = rng.choice([reports, pb.ToSink(reports=reports)])
    data = bytearray(message.SerializeToString())
    for _ in range(rng.randrange(4)):
        data[rng.randrange(min(40, len(data)))] = rng.getrandbits(8)
    return [bytes(data), rng.randbytes(50)]


def flood(
    context: zmq.Context[Any], endpoints: tuple[str, ...], seed: int
) -> None:
    """Send messages to each endpoint, as many as it takes."""
    rng = random.Random(seed)
    for endpoint in endpoints:
        with context.socket(zmq.PUSH) as stranger:
            stranger.linger = 0
            stranger.sndtimeo = 10_000
            stranger.connect(endpoint)
            for _ in range(MESSAGES):
                stranger.send_multipart(noise(rng))


def mob(endpoints: tuple[str, ...], seed: int) -> None:
    """Connect without any ZeroMQ, say anything, and go."""
    rng = random.Random(seed)
    for _ in range(KNOCKS):
        host, _, port = rng.choice(endpoints)[len("tcp://") :].rpartition(":")
        words = rng.choice([b"", GREETING]) + rng.randbytes(
            rng.randrange(999)
        )
        with (
            suppress(ConnectionError),
            socket.create_connection((host, int(port)), 10) as stranger,
        ):
            stranger.sendall(words)


def memory(program: Program) -> int:
    status = Path(f"/proc/{program.pid}/status").read_text()
    resident = re.search(r"VmRSS:\s*(\d+) kB", status)
    assert resident
    return int(resident.group(1)) * 1024


@pytest.mark.timeout(120)
def test_noise_at_every_door_costs_no_image_and_no_memory(
    start: Callable[..., Program], context: zmq.Context[Any], tmp_path: Path
) -> None:
    make_photos(tmp_path / "src", IMAGES)
    tasks, results, receipts = endpoints_of_our_own()
    to_sink = ("--results", results)
    sink = start(
        *("image_pipeline", "sink", str(tmp_path / "dst"), "--once"),
        *(*to_sink, "--receipts", receipts),
    )
    sink.wait_for("results at")
    ventilator = start(
        *("image_pipeline", "ventilator", str(tmp_path / "src")),
        *(*to_sink, "--receipts", receipts, "--tasks", tasks),
    )
    ventilator.wait_for("waiting for workers")
    flood(context, (results, receipts), seed=0)
    before = memory(sink), memory(ventilator)
    for seed in (1, 2):
        flood(context, (results, receipts), seed)
        mob((tasks, results, receipts), seed)
    after = memory(sink), memory(ventilator)
    for less, more in zip(before, after, strict=True):
        assert more - less < STEADY

    worker = start(
        *("image_pipeline", "worker", "--once", "--tasks", tasks, *to_sink)
    )
    worker.wait_for("takes tasks from")
    mob((tasks, results, receipts), seed=3)

    assert ventilator.wait() == 0, ventilator.stderr
    assert f"{IMAGES} made, 0 current, 0 skipped" in ventilator.stdout
    assert (sink.wait(), worker.wait()) == (0, 0)
    assert "dropped a message: " in sink.stdout
    assert re.search(r"made so far, \d+ messages dropped", sink.stdout)
    assert len(list((tmp_path / "dst").glob("*.jpg"))) == IMAGES
    for program in (ventilator, sink, worker):
        assert program.stderr == ""
