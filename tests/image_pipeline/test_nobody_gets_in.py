"""Other users of the machine, and peers without a key, get nowhere."""

import io
import os
import select
import socket
import stat
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, Self

import pytest
import zmq
from PIL import Image
from zmq.auth.thread import ThreadAuthenticator

from image_pipeline import messages
from image_pipeline import messages_pb2 as pb
from image_pipeline.cli.options import MAKE
from image_pipeline.imaging import tiff
from image_pipeline.imaging.recipe import Box, Format, Recipe
from image_pipeline.imaging.size import size_of
from image_pipeline.imaging.wire import encode
from image_pipeline.outcome import CannotKeep, Outcome
from image_pipeline.storage.store import Store
from image_pipeline.storage.thumbnails import Thumbnails
from image_pipeline.supervision.processes import Processes
from image_pipeline.transport import curve
from image_pipeline.transport.curve import BadKeys
from image_pipeline.transport.endpoints import Transport, Unusable
from image_pipeline.transport.sockets import bound
from tests.image_pipeline.stage import (
    GREETING,
    PHOTO,
    by_hand,
    make_photos,
    make_thumbnails,
    outcomes,
    run_batch,
    until,
)
from tests.support import ROOT, Program, skip_or_fail

# Ours become another user, and run no thread of the many that we have.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*multi-threaded, use of fork:DeprecationWarning"
)

NOBODY = 65_534  # a user who owns nothing


def can_connect_as_nobody(path: str) -> bool:
    """Try to connect to a Unix socket as another user of this machine."""
    if os.geteuid():
        skip_or_fail("only root can become somebody else")
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            socket.socket(socket.AF_UNIX).connect(path)
        except PermissionError:
            os._exit(1)
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def listening(kind: str) -> set[str]:
    """Return what sockets of this process's family listen at."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    paths = {line.split()[-1] for line in lines if "/" in line}
    return {path for path in paths if path.endswith(f"/{kind}")}


def test_a_run_takes_no_part_from_another_user_of_the_machine(
    tmp_path: Path,
) -> None:
    """The trap: loopback is everybody's. A private folder is not."""
    make_photos(tmp_path / "src", 4)
    before, entered = listening("tasks"), list[bool]()

    def attack(*_: object) -> None:
        if not entered:
            (path,) = listening("tasks") - before
            entered.append(can_connect_as_nobody(path))

    workers = Processes(1, MAKE)
    records = run_batch(tmp_path, workers, attack, Transport.IPC)
    assert entered == [False]
    assert outcomes(records) == {Outcome.MADE: 4}


def test_a_run_over_tcp_gives_nothing_to_a_peer_without_its_keys(
    tmp_path: Path, context: zmq.Context[Any]
) -> None:
    """The trap: a PULL that connects gets its share of the photographs."""
    make_photos(tmp_path / "src", 12)
    thieves: list[zmq.Socket[bytes]] = []

    def connect_everywhere(*_: object) -> None:
        if thieves:
            return
        for port in ports_of_this_process():
            thief = context.socket(zmq.PULL)
            thief.linger = 0
            thief.connect(f"tcp://127.0.0.1:{port}")
            thieves.append(thief)

    records = run_batch(
        tmp_path, Processes(1, MAKE), connect_everywhere, Transport.TCP
    )
    stolen = [thief.poll(0) for thief in thieves]
    for thief in thieves:
        thief.close()
    assert thieves
    assert not any(stolen)
    assert outcomes(records) == {Outcome.MADE: 12}


def test_no_socket_is_made_where_others_may_put_theirs_for_it(
    tmp_path: Path, start: Callable[..., Program]
) -> None:
    """The trap: a private folder in a folder that others may rename in."""
    make_photos(tmp_path / "src", 1)
    everybodys = tmp_path / "everybodys"
    everybodys.mkdir()
    for mode, code in (0o777, 3), (0o1777, 0):
        everybodys.chmod(mode)
        program = start(
            *("image_pipeline", "run", str(tmp_path / "src")),
            *(str(tmp_path / "dst"), "-j", "1"),
            env={"TMPDIR": str(everybodys)},
        )
        assert program.wait() == code, program.stderr
        assert ("is no place for sockets" in program.stderr) == bool(code)
        assert list(everybodys.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_another_user_of_the_machine_neither_sees_nor_forges_a_picture(
    tmp_path: Path, start: Callable[..., Program], transport: str
) -> None:
    """The trap: of 60 private photographs 37 were copied, all 60 replaced."""
    make_photos(tmp_path / "src", 150)
    with Attacker() as attacker:
        program = start(
            *("image_pipeline", "run", str(tmp_path / "src")),
            *(str(tmp_path / "dst"), "--transport", transport, "-j", "1"),
        )
        until(lambda: len(endpoints_of(program.pid)) == 2)
        attacker.attack(endpoints_of(program.pid))
        assert program.wait() == 0, program.stderr
    assert attacker.stolen == 0
    (good,) = make_thumbnails(PHOTO, encode(Recipe())).results
    kept = list((tmp_path / "dst").glob("*.jpg"))
    assert len(kept) == 150
    assert {path.read_bytes() for path in kept} == {good}


class Attacker:
    """A process of another user, who knows this code and has no key."""

    def __init__(self) -> None:
        if os.geteuid():
            skip_or_fail("only root can become somebody else")
        told, self._tell = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(told)
            return
        status = 255
        try:
            os.close(self._tell)
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            with os.fdopen(told) as orders:
                status = min(100, rob(orders.readline().split(), orders))
        finally:
            os._exit(status)

    def attack(self, endpoints: set[str]) -> None:
        os.write(self._tell, (" ".join(endpoints) + "\n").encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Call it back, and hear how many messages it has got."""
        os.close(self._tell)
        self.stolen = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def rob(endpoints: list[str], orders: IO[str]) -> int:
    """Take tasks and send forged results everywhere, until called back."""
    stolen = 0
    forged = Path(__file__).read_bytes()
    with zmq.Context() as context, ExitStack() as stack:
        thieves: list[zmq.Socket[bytes]] = []
        forgers: list[zmq.Socket[bytes]] = []
        for endpoint in endpoints:
            for kind, into in (zmq.PULL, thieves), (zmq.PUSH, forgers):
                each = stack.enter_context(context.socket(kind))
                each.linger = 0
                each.connect(endpoint)
                into.append(each)
        while not select.select([orders], [], [], 0.01)[0]:
            for thief in thieves:
                while thief.poll(0):
                    task, *_ = thief.recv_multipart()
                    stolen += 1
                    batch = pb.Task.FromString(task).ids[0] >> 32
                    for number in range(1, 151):
                        report = pb.Report(
                            id=batch << 32 | number,
                            stage=pb.STAGE_MADE,
                            worker="thief",
                            results=1,
                        )
                        for forger in forgers:
                            with suppress(zmq.Again):
                                forger.send_multipart(
                                    [messages.to_sink(report), forged],
                                    zmq.DONTWAIT,
                                )
    return stolen


def endpoints_of(pid: int) -> set[str]:
    """Return where a process takes tasks and results, as root sees it."""
    inodes = set()
    with suppress(OSError):  # it has just closed one
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            inodes.add(str(entry.readlink())[8:-1])  # socket:[12345]
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[9] in inodes and words[3] == "0A":  # it listens
            port = int(words[1].partition(":")[2], 16)
            found.add(f"tcp://127.0.0.1:{port}")
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        words = line.split()
        if words[6] in inodes and words[-1].endswith(("/tasks", "/results")):
            found.add(f"ipc://{words[-1]}")
    return found


def ports_of_this_process() -> set[int]:
    """Return the tcp ports at which this process listens."""
    ours = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            number = int(entry.name)
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            with socket.socket(fileno=os.dup(number)) as copy:
                if copy.family != socket.AF_INET:
                    continue
                if copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    ours.add(copy.getsockname()[1])
        except OSError:
            continue
    return ours


@pytest.fixture
def dial() -> Iterator[Callable[[str, bytes], socket.socket]]:
    """Connect as no ZeroMQ socket does, and say `words`."""
    with ExitStack() as stack:

        def connect(endpoint: str, words: bytes = b"") -> socket.socket:
            host, port = endpoint.removeprefix("tcp://").split(":")
            peer = socket.create_connection((host, int(port)), timeout=5)
            stack.callback(peer.close)
            peer.sendall(words)
            return peer

        yield connect


@pytest.mark.slow
def test_a_peer_that_shows_no_key_is_cut_off_within_seconds(
    context: zmq.Context[Any], dial: Callable[..., socket.socket]
) -> None:
    """The trap: libzmq waits 30 seconds, and each one costs memory."""
    with bound(context, zmq.PULL, "tcp://127.0.0.1:*") as results:
        silent = dial(results.endpoint)
        slow = dial(results.endpoint, GREETING)
        began = time.monotonic()
        for peer in (silent, slow):
            peer.settimeout(15)
            while peer.recv(1_000):
                pass
        assert time.monotonic() - began < 10


@pytest.mark.slow
def test_silent_connections_do_not_hide_that_a_worker_has_gone(
    context: zmq.Context[Any], dial: Callable[..., socket.socket]
) -> None:
    """The trap: who never makes a handshake looks like a worker that did."""
    with bound(context, zmq.PUSH, "tcp://127.0.0.1:*") as tasks:
        with context.socket(zmq.PULL) as worker:
            worker.connect(tasks.endpoint)
            until(lambda: looked(tasks).connected == 1)
            threading.Event().wait(6)  # it is older than any handshake
            dial(tasks.endpoint)
            until(lambda: looked(tasks)._connections == 2)
        dial(tasks.endpoint)
        until(lambda: looked(tasks).connected == 0)
        assert tasks.peers.disconnects == 1


def looked(tasks: Any) -> Any:
    tasks.peers.look()
    return tasks.peers


@pytest.mark.slow
@pytest.mark.parametrize("guard", ["none", "in another context", "stopped"])
def test_without_a_guard_nobody_is_admitted_rather_than_everybody(
    guard: str, tmp_path: Path, context: zmq.Context[Any]
) -> None:
    """The trap: libzmq admits everybody when nobody answers for ZAP."""
    curve.generate(tmp_path / "keys")
    keys = curve.load(tmp_path / "keys", "server")
    known = curve.load(tmp_path / "keys", "client")
    with ExitStack() as stack:
        if guard == "in another context":
            other = stack.enter_context(zmq.Context())
            stack.enter_context(curve.guard(other, keys))
        if guard == "stopped":
            authenticator = ThreadAuthenticator(context)
            authenticator.start()
            authenticator.stop()
        results = stack.enter_context(
            bound(context, zmq.PULL, "tcp://127.0.0.1:*", keys)
        )
        worker = stack.enter_context(context.socket(zmq.PUSH))
        worker.linger = 0
        known.join(worker)
        worker.connect(results.endpoint)
        worker.send(b"let me in")
        assert not results.poll(1_000)


def test_keys_are_never_readable_by_others_and_loose_ones_are_refused(
    tmp_path: Path,
) -> None:
    """The trap: written under the usual umask, and restricted afterwards."""
    folder = tmp_path / "keys"
    curve.generate(folder)
    assert (folder / ".gitignore").read_text() == "*\n"
    for path in (folder, *folder.iterdir()):
        assert not path.stat().st_mode & 0o077, path
    (folder / "client.key_secret").chmod(0o644)
    with pytest.raises(BadKeys, match="open to others: chmod"):
        curve.load(folder, "client")
    loose = tmp_path / "loose"
    loose.mkdir()
    loose.chmod(0o777)
    with pytest.raises(BadKeys, match="open to others"):
        curve.generate(loose)


@pytest.mark.parametrize("what", ["a file", "a socket in use"])
def test_binding_to_a_path_deletes_nothing_that_is_there(
    what: str, tmp_path: Path, context: zmq.Context[Any]
) -> None:
    """The trap: libzmq removes what is in the way of an ipc endpoint."""
    path = tmp_path / "precious"
    with socket.socket(socket.AF_UNIX) as holder:
        if what == "a file":
            path.write_text("mine")
        else:
            holder.bind(str(path))
            holder.listen()
        before = path.lstat()
        with (
            pytest.raises(Unusable, match="cannot bind to"),
            bound(context, zmq.PULL, f"ipc://{path}"),
        ):
            pass
        assert path.lstat().st_ino == before.st_ino


def test_the_path_of_a_process_that_died_is_taken_over(
    tmp_path: Path, context: zmq.Context[Any]
) -> None:
    path = tmp_path / "left behind"
    with socket.socket(socket.AF_UNIX) as holder:
        holder.bind(str(path))
    with bound(context, zmq.PULL, f"ipc://{path}") as results:
        assert results.endpoint == f"ipc://{path}"


@pytest.mark.parametrize(
    "report",
    [
        pb.Report(stage=pb.STAGE_READY, worker="\x1b]0;mine\x07"),
        pb.Report(stage=pb.STAGE_READY, worker="a\nfailed: other.jpg"),
        pb.Report(
            id=messages.id_of(1, 1), stage=pb.STAGE_FAILED, reason="\x9b31m"
        ),
        pb.Report(
            id=messages.id_of(1, 1), stage=pb.STAGE_MADE, seconds=float("nan")
        ),
        pb.Report(
            id=messages.id_of(1, 1), stage=pb.STAGE_MADE, seconds=float("inf")
        ),
    ],
)
def test_what_would_command_a_terminal_or_break_a_report_is_no_message(
    report: pb.Report,
) -> None:
    with pytest.raises(messages.Malformed):
        messages.read_to_sink(messages.to_sink(report))


def test_fields_that_nobody_knows_are_not_passed_on() -> None:
    """The trap: protobuf keeps and sends on what it does not understand."""
    unknown = b"\xfa\x3e\x64" + bytes(100)  # field 1007, of 100 bytes
    report = pb.Report(stage=pb.STAGE_READY, worker="w").SerializeToString()
    inner = report + unknown
    data = pb.ToSink(
        reports=pb.Reports(reports=[pb.Report.FromString(inner)])
    ).SerializeToString()
    assert unknown in data
    read = messages.read_to_sink(data)
    assert isinstance(read, pb.Reports)
    assert unknown not in read.SerializeToString()


def test_reports_of_many_workers_wait_for_a_ventilator_within_a_bound(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    ready = messages.to_sink(pb.Report(stage=pb.STAGE_READY, worker="w"))
    with (
        by_hand(context, tmp_path) as hands,
        context.socket(zmq.PUSH) as push,
    ):
        push.connect(hands.results)
        for _ in range(20_000):
            push.send(ready)
        until(lambda: len(hands.sink.receipts) >= 4_000)
        assert len(hands.sink.receipts) <= 4_096


@pytest.mark.slow
def test_a_bomb_costs_one_failed_file_and_no_machine(tmp_path: Path) -> None:
    """The trap: 33 KB of PNG took 2.3 GiB of a worker."""
    make_photos(tmp_path / "src", 3)
    (tmp_path / "src" / "bomb.png").write_bytes(bomb(16_384, 16_384))
    workers = Processes(2, MAKE)
    records = run_batch(tmp_path, workers, transport=Transport.IPC)
    assert records["bomb.png"].outcome is Outcome.FAILED
    assert outcomes(records)[Outcome.MADE] == 3


def bomb(width: int, height: int) -> bytes:
    """Return a PNG with one bit a pixel and a transparent colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(width // 8)) * height, 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"tRNS", b"\0\1")
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("made_as", list(Format))
def test_the_thumbnail_of_an_honest_worker_has_the_size_it_says(
    made_as: Format,
) -> None:
    for sides in (1, 1), (1, 300), (40, 30), (256, 256):
        data = thumbnail(made_as, *sides)
        assert size_of(data, made_as.upper()) == sides
        clear = thumbnail(made_as, *sides, "RGBA" * made_as.has_alpha)
        assert size_of(clear, made_as.upper()) == sides
        for end in range(min(len(data), 400)):
            size_of(data[:end], made_as.upper())  # raises nothing


@pytest.mark.parametrize("made_as", list(Format))
def test_a_worker_that_lies_has_nothing_kept_but_a_thumbnail(
    tmp_path: Path, made_as: Format
) -> None:
    """The trap: first bytes prove nothing of what comes behind them."""
    recipe = Recipe(sizes=(Box(64, 48),), format=made_as)
    good = thumbnail(made_as, 64, 48)
    page = b"<html><script>alert(1)</script></html>"
    lies = {
        "65 x 48 pixels for a box of 64x48": thumbnail(made_as, 65, 48),
        "48 x 64 pixels for a box": thumbnail(made_as, 48, 64),
        "[0-9]+ x [0-9]+ pixels": good[:12] + page,
        "1000[0-9]{3} bytes of 64 x 48 pixels": good + bytes(1_000_000),
        "no image": page,
    }
    file = pb.SourceFile(id=1, name=b"a.jpg", size=1, mtime_ns=1)
    with Store(tmp_path / "dst") as store:
        thumbnails = Thumbnails(store)
        thumbnails.begin(encode(recipe))
        for sentence, lie in lies.items():
            with pytest.raises(CannotKeep, match=f"a worker sent {sentence}"):
                thumbnails.keep(file, [lie])
        thumbnails.keep(file, [good])
    assert good in [
        path.read_bytes()
        for path in (tmp_path / "dst").iterdir()
        if path.is_file()
    ]


def thumbnail(
    made_as: Format, width: int, height: int, mode: str = ""
) -> bytes:
    stream = io.BytesIO()
    Image.new(mode or "RGB", (width, height)).save(stream, made_as)
    return stream.getvalue()


def test_a_tiff_that_gives_text_for_its_width_raises_nothing_foreign() -> (
    None
):
    """Found by tests/fuzz/kinds.py."""
    seeds = ROOT / "tests" / "fuzz" / "seeds" / "kinds"
    data = (seeds / "tiff_text_for_a_number").read_bytes()
    with suppress(tiff.Unreadable):
        tiff.look(data)
