"""One program, any transport: only the endpoint changes.

Sockets: REP binds, REQ connects; any others would do. Messages: the same on
every transport. Why: the program that starts as two threads over inproc
becomes two processes over ipc and two machines over tcp, without a line of
it being touched. Each transport has its own traps, and ipc has the most. To
reach many receivers at once there is multicast (multicast.py). Sources:
libzmq documentation, zmq_inproc, zmq_ipc, zmq_tcp and zmq_pgm.
"""

import os
import random
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from tests.patterns.helpers import bind_anywhere, is_silent, kill, watch
from tests.support import Program, skip_or_fail

SYSTEM_PYTHON = "/usr/bin/python3"
MULTICAST = str(Path(__file__).with_name("multicast.py"))
HAS_PGM = "import sys, zmq; sys.exit(not zmq.has('pgm'))"
OTHERS = {
    "pgm": "pgm://lo;239.192.1.1:5555",
    "norm": "norm://127.0.0.1:5555",
    "tipc": "tipc://{5555,0,0}",
    "vmci": "vmci://*:5555",
    "ws": "ws://127.0.0.1:*",
    "wss": "wss://127.0.0.1:*",
}


def greet(context: zmq.SyncContext, endpoint: str) -> tuple[bytes, bytes]:
    """Ask and answer over any transport; return what each side heard."""
    with (
        context.socket(zmq.REP) as server,
        context.socket(zmq.REQ) as client,
    ):
        server.bind(endpoint)
        client.connect(server.get_string(zmq.LAST_ENDPOINT))
        client.send(b"hello")
        question = server.recv()
        server.send(b"good day")
        return question, client.recv()


def bind_privately(server: zmq.SyncSocket, folder: Path) -> str:
    """Bind below `folder` where only this user may connect; say where.

    Raises ValueError where the path is too long for a UNIX domain socket.
    """
    path = folder / "private" / "socket"
    if len(os.fsencode(path)) > zmq.IPC_PATH_MAX_LEN:
        raise ValueError(f"{path} is longer than {zmq.IPC_PATH_MAX_LEN}")
    path.parent.mkdir(mode=0o700)
    server.bind(f"ipc://{path}")
    return f"ipc://{path}"


def serve(context: zmq.SyncContext, endpoint: str) -> None:
    """Answer every request with the number of this process."""
    with context.socket(zmq.REP) as server:
        server.bind(endpoint)
        print("LISTENING", flush=True)
        while True:
            server.recv()
            server.send(b"%d" % os.getpid())


def knock_as_a_stranger(context: zmq.SyncContext, endpoint: str) -> None:
    """Try to connect as another user, and print how it went."""
    folder = Path(endpoint.removeprefix("ipc://")).parent
    if os.geteuid() == 0:
        os.setuid(65534)  # nobody
    else:  # then take the rights that others have
        folder.chmod((folder.stat().st_mode & 0o007) << 6)
    with context.socket(zmq.DEALER) as dealer, watch(dealer) as monitor:
        dealer.connect(endpoint)
        while (event := monitor.next()) not in {
            zmq.EVENT_HANDSHAKE_SUCCEEDED,
            zmq.EVENT_CONNECT_RETRIED,
        }:
            pass
    print(event.name, flush=True)


@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
def test_only_the_endpoint_changes(
    context: zmq.SyncContext, ipc_folder: Path, transport: str
) -> None:
    """The same function runs over tcp, ipc and inproc unchanged."""
    endpoint = {
        "tcp": "tcp://127.0.0.1:*",
        "ipc": f"ipc://{ipc_folder}/socket",
        "inproc": "inproc://greeting",
    }[transport]
    assert greet(context, endpoint) == (b"hello", b"good day")


@pytest.mark.parametrize("name", OTHERS)
def test_zmq_has_tells_which_transports_there_are(
    context: zmq.SyncContext,
    record_property: Callable[[str, object], None],
    name: str,
) -> None:
    """What zmq.has denies, PGM for one, is refused: EPROTONOSUPPORT."""
    record_property(f"zmq.has({name!r})", zmq.has(name))
    refused = False
    with context.socket(zmq.PUB) as publisher:
        try:
            publisher.bind(OTHERS[name])
        except zmq.ZMQError as error:  # or the system lacks what it needs
            refused = error.errno == zmq.EPROTONOSUPPORT
    assert refused is not zmq.has(name)


def test_inproc_stays_within_one_context(
    new_context: Callable[[], zmq.SyncContext],
) -> None:
    """Inproc joins sockets of one context; another context is far away."""
    here, elsewhere = new_context(), new_context()
    with (
        here.socket(zmq.PULL) as server,
        here.socket(zmq.PUSH) as near,
        elsewhere.socket(zmq.PUSH) as far,
    ):
        server.bind("inproc://tasks")
        far.connect("inproc://tasks")
        far.send(b"from elsewhere")
        near.connect("inproc://tasks")
        near.send(b"from here")
        assert server.recv() == b"from here"
        assert is_silent(server)


def test_two_binds_of_one_tcp_port_are_an_error(
    context: zmq.SyncContext,
) -> None:
    """A tcp port that is taken is EADDRINUSE."""
    with (
        context.socket(zmq.REP) as first,
        context.socket(zmq.REP) as second,
    ):
        endpoint = bind_anywhere(first)
        with pytest.raises(zmq.ZMQError) as error:
            second.bind(endpoint)
    assert error.value.errno == zmq.EADDRINUSE


def test_a_live_ipc_path_is_stolen_without_a_word(
    context: zmq.SyncContext, endpoint: str
) -> None:
    """An ipc path that is taken is stolen, and nobody is told."""
    with (
        context.socket(zmq.PULL) as owner,
        context.socket(zmq.PULL) as thief,
        context.socket(zmq.PUSH) as old_friend,
        context.socket(zmq.PUSH) as newcomer,
    ):
        owner.bind(endpoint)
        old_friend.connect(endpoint)
        old_friend.send(b"1")
        assert owner.recv() == b"1"
        thief.bind(endpoint)  # no error
        newcomer.connect(endpoint)
        newcomer.send(b"2")
        assert thief.recv() == b"2"
        old_friend.send(b"3")  # its connection lives on
        assert owner.recv() == b"3"


def test_an_ipc_bind_deletes_what_is_in_its_way(
    context: zmq.SyncContext, ipc_folder: Path
) -> None:
    """To bind ipc deletes whatever has that name, even a plain file."""
    path = ipc_folder / "thesis.txt"
    path.write_text("three years of work")
    with context.socket(zmq.REP) as server:
        server.bind(f"ipc://{path}")
        assert stat.S_ISSOCK(path.stat().st_mode)


def test_a_stale_ipc_file_stops_nobody(
    context: zmq.SyncContext,
    endpoint: str,
    spawn: Callable[..., Program],
) -> None:
    """A killed server leaves its ipc file, and the next one binds anyway."""
    path = Path(endpoint.removeprefix("ipc://"))
    for _ in range(2):
        server = spawn(serve, endpoint)
        server.wait_for("LISTENING")
        with context.socket(zmq.REQ) as client:
            client.connect(endpoint)
            client.send(b"who are you?")
            assert int(client.recv()) == server.pid
        kill(server)
        assert path.is_socket()


def test_an_ipc_file_outlives_even_a_clean_close(
    context: zmq.SyncContext, endpoint: str
) -> None:
    """Since libzmq 4.2.3 the file stays after a close: remove it yourself."""
    with context.socket(zmq.REP) as server:
        server.bind(endpoint)
    assert Path(endpoint.removeprefix("ipc://")).is_socket()


def test_an_ipc_path_may_have_107_bytes(
    context: zmq.SyncContext, ipc_folder: Path
) -> None:
    """An ipc path of 107 bytes works on Linux; one byte more is an error."""
    longest = f"{ipc_folder}/".ljust(zmq.IPC_PATH_MAX_LEN, "x")
    assert zmq.IPC_PATH_MAX_LEN == 107
    assert greet(context, f"ipc://{longest}") == (b"hello", b"good day")
    with pytest.raises(zmq.ZMQError, match="longer than 107"):
        greet(context, f"ipc://{longest}x")


def test_an_ipc_name_in_the_abstract_namespace_leaves_no_file(
    context: zmq.SyncContext, ipc_folder: Path
) -> None:
    """On Linux ipc://@name needs no file, and so leaves none behind."""
    name = f"ipc://@{ipc_folder.name}"
    assert greet(context, name) == (b"hello", b"good day")
    assert not list(ipc_folder.iterdir())


def test_a_private_folder_keeps_strangers_out(
    context: zmq.SyncContext,
    ipc_folder: Path,
    spawn: Callable[..., Program],
) -> None:
    """A folder of mode 0700 keeps other users out of an ipc endpoint."""
    ipc_folder.chmod(0o755)
    with context.socket(zmq.ROUTER) as server:
        endpoint = bind_privately(server, ipc_folder)
        path = Path(endpoint.removeprefix("ipc://"))
        path.chmod(0o777)  # as an umask of 0 leaves it
        stranger = spawn(knock_as_a_stranger, endpoint)
        stranger.wait_for("CONNECT_RETRIED")
        path.parent.chmod(0o755)  # and now without the private folder
        stranger = spawn(knock_as_a_stranger, endpoint)
        stranger.wait_for("HANDSHAKE_SUCCEEDED")
        path.parent.chmod(0o700)


def test_a_private_path_that_is_too_long_is_refused(
    context: zmq.SyncContext, ipc_folder: Path
) -> None:
    """A program that checks the length first can say which path is wrong."""
    room = 107 - len(f"{ipc_folder}//private/socket")
    longest = ipc_folder / ("x" * room)
    longest.mkdir()
    with context.socket(zmq.REP) as server:
        bind_privately(server, longest)
        with pytest.raises(ValueError, match="is longer than 107"):
            bind_privately(server, ipc_folder / ("x" * (room + 1)))


def test_multicast_brings_one_file_to_two_receivers_and_sends_it_once(
    hosts: list[tuple[str, ...]],
    tmp_path: Path,
    start: Callable[..., Program],
) -> None:
    """PGM brings one file to two receivers, and each byte is sent once."""
    if subprocess.run([SYSTEM_PYTHON, "-c", HAS_PGM], check=False).returncode:
        skip_or_fail("the system's Python has no libzmq with PGM")
    film = random.Random(5555).randbytes(4_000_000)
    sent, *copies = (tmp_path / name for name in ("sent", "one", "other"))
    sent.write_bytes(film)
    sender, *receivers = hosts
    programs = [
        start(
            *(SYSTEM_PYTHON, MULTICAST, "send", "10.57.0.1", str(sent), "2"),
            within=sender,
        )
    ]
    for number, (host, copy) in enumerate(
        zip(receivers, copies, strict=True), start=2
    ):
        arguments = (f"10.57.0.{number}", str(copy), "10.57.0.1")
        programs.append(
            start(
                *(SYSTEM_PYTHON, MULTICAST, "receive", *arguments),
                within=host,
            )
        )
    for program in programs:
        assert program.wait() == 0, program.stderr
    for copy in copies:
        assert copy.read_bytes() == film
    counter = "/sys/class/net/eth0/statistics/tx_bytes"
    counted = subprocess.check_output([*sender, "cat", counter])
    assert len(film) < int(counted) < 1.5 * len(film)
