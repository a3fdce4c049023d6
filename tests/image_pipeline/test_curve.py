"""CURVE: known keys are served, all others are told why not."""

from contextlib import ExitStack, closing
from pathlib import Path
from socket import create_server
from threading import Event
from typing import Any

import pytest
import zmq

from image_pipeline import messages
from image_pipeline import messages_pb2 as pb
from image_pipeline.imaging.recipe import Recipe
from image_pipeline.imaging.wire import encode
from image_pipeline.outcome import Incomplete, Outcome
from image_pipeline.transport import curve, endpoints
from image_pipeline.transport.curve import BadKeys, Keys
from image_pipeline.transport.monitor import ConnectionMonitor, Refused
from image_pipeline.transport.sockets import bound, connected
from tests.image_pipeline.stage import (
    by_hand,
    files_in,
    make_photos,
    make_thumbnails,
    outcomes,
    until,
    work,
)
from tests.support import PATIENCE_S


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    curve.generate(tmp_path / "keys")
    return tmp_path / "keys"


def test_keys_are_for_their_owner_and_are_never_overwritten(
    folder: Path,
) -> None:
    files = sorted(folder.iterdir())
    assert [path.name for path in files] == [
        ".gitignore",
        "client.key",
        "client.key_secret",
        "server.key",
        "server.key_secret",
    ]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    with pytest.raises(BadKeys, match="choose an empty folder"):
        curve.generate(folder)


def test_a_worker_needs_no_secret_of_the_server(folder: Path) -> None:
    (folder / "server.key_secret").unlink()
    assert curve.load(folder, "client").secret
    with pytest.raises(BadKeys, match="no server keys"):
        curve.load(folder, "server")


def test_a_batch_with_keys_is_made(
    folder: Path, context: zmq.Context[Any], tmp_path: Path
) -> None:
    make_photos(tmp_path / "src", 10)
    server = curve.load(folder, "server")
    with by_hand(context, tmp_path, keys=server) as pipeline:
        pipeline.keys = curve.load(folder, "client")
        pipeline.add_worker("one")
        records = pipeline.deliver(files_in(tmp_path / "src"))
    assert outcomes(records) == {Outcome.MADE: 10}


def other_client(folder: Path, tmp_path: Path) -> Keys:
    """Somebody who knows our public key, and has a pair of his own."""
    curve.generate(tmp_path / "other")
    foreign = curve.load(tmp_path / "other", "client")
    server = curve.load(folder, "client").server
    return Keys(foreign.public, foreign.secret, server, b"")


def other_server(_: Path, tmp_path: Path) -> Keys:
    curve.generate(tmp_path / "other")
    return curve.load(tmp_path / "other", "client")


def no_keys(*_: Path) -> None:
    return None


@pytest.mark.parametrize(
    ("who", "why"),
    [
        (other_client, "not one of those admitted"),
        (other_server, "server key"),
        (no_keys, r"keys \(CURVE\)"),
    ],
)
def test_a_worker_that_is_not_admitted_learns_why_within_seconds(
    who: Any,
    why: str,
    folder: Path,
    context: zmq.Context[Any],
    new_context: Any,
    tmp_path: Path,
) -> None:
    """The trap: libzmq retries for ever, and `recv` only times out."""
    server = curve.load(folder, "server")
    with (
        by_hand(context, tmp_path, keys=server) as pipeline,
        bound(context, zmq.PUSH, pipeline.tasks, server),
        pytest.raises(Refused, match=why),
    ):
        work(
            make_thumbnails,
            context=new_context(),
            tasks=pipeline.tasks,
            results=pipeline.results,
            name="stranger",
            stop=Event(),
            keys=who(folder, tmp_path),
        )


def test_a_ventilator_hears_that_the_sink_has_other_keys(
    folder: Path, context: zmq.Context[Any], tmp_path: Path
) -> None:
    make_photos(tmp_path / "src", 2)
    curve.generate(tmp_path / "other")
    server = curve.load(folder, "server")
    with by_hand(context, tmp_path, keys=server) as pipeline:
        pipeline.own_keys = curve.load(tmp_path / "other", "server")
        pipeline.receipts = "inproc://receipts"
        with pytest.raises(Incomplete, match="the sink refuses us"):
            pipeline.deliver(files_in(tmp_path / "src"))


@pytest.mark.parametrize("hangs_up", [False, True])
def test_only_a_peer_that_hangs_up_is_said_to_refuse_us(
    hangs_up: bool, context: zmq.Context[Any]
) -> None:
    """The trap: libzmq tells of our own deadline by the same event.

    A peer that was stopped, or waits for a name server, may come back.
    """
    with (
        create_server(("127.0.0.1", 0)) as peer,
        context.socket(zmq.PUSH) as socket,
        closing(ConnectionMonitor(socket)) as monitor,
        ExitStack() as connections,
    ):
        peer.settimeout(PATIENCE_S)
        socket.linger, socket.handshake_ivl = 0, 50
        socket.connect("tcp://127.0.0.1:{1}".format(*peer.getsockname()))
        for _ in range(4):
            connection, _ = peer.accept()
            if hangs_up:
                connection.close()
            else:
                connections.enter_context(connection)
        monitor.look()
        assert ("hung up" in monitor.refusal) is hangs_up


def test_a_worker_cannot_announce_files_though_its_key_is_known(
    folder: Path, context: zmq.Context[Any], tmp_path: Path
) -> None:
    plan = pb.Plan(
        batch=1,
        recipe=encode(Recipe()),
        files=[pb.SourceFile(id=messages.id_of(1, 1), name=b"mine.jpg")],
    )
    server = curve.load(folder, "server")
    keys = curve.load(folder, "client")
    with (
        by_hand(context, tmp_path, keys=server) as pipeline,
        connected(context, zmq.PUSH, pipeline.results, keys) as worker,
    ):
        worker.send(pb.ToSink(plan=plan).SerializeToString())
        until(lambda: pipeline.sink.dropped == 1)


@pytest.mark.parametrize(
    ("endpoint", "is_exposed"),
    [
        ("tcp://127.0.0.1:5557", False),
        ("tcp://[::1]:5557", False),
        ("tcp://localhost:*", False),
        ("ipc:///run/tasks", False),
        ("inproc://tasks", False),
        ("tcp://*:5557", True),
        ("tcp://0.0.0.0:5557", True),
        ("tcp://[::]:5557", True),
        ("tcp://192.168.1.2:5557", True),
        ("tcp://eth0:5557", True),
        ("tcp://example.org:5557", True),
    ],
)
def test_nothing_is_bound_beyond_loopback_without_keys(
    endpoint: str, is_exposed: bool, folder: Path
) -> None:
    if is_exposed:
        with pytest.raises(endpoints.Exposed, match="--insecure"):
            endpoints.check_exposure(endpoint, None, insecure=False)
    else:
        endpoints.check_exposure(endpoint, None, insecure=False)
    endpoints.check_exposure(endpoint, None, insecure=True)
    keys = curve.load(folder, "server")
    endpoints.check_exposure(endpoint, keys, insecure=False)
