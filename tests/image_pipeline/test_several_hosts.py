"""The pipeline across machines: CURVE, a pulled cable, a late worker.

Each host is a network namespace with an interface of its own, all plugged
into one switch, so a cable can really be pulled: no process notices, and no
connection is closed. Only heartbeats tell that nobody is there any more.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from image_pipeline.demo.photographs import photograph
from tests.support import ROOT, Program, needs, skip_or_fail

pytestmark = pytest.mark.slow

Start = Callable[..., Program]
IMAGES = 200
TASKS, RESULTS, RECEIPTS = (
    f"tcp://10.55.0.1:{port}" for port in (5557, 5558, 5559)
)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=10)


class Network:
    """Hosts on one switch; host number 1 has the address 10.55.0.1."""

    def __init__(self) -> None:
        self._name = f"beyond-{uuid4().hex[:8]}"
        self._made: list[str] = []
        self.switch = self._namespace("switch")
        ip("-n", self.switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", self.switch, "link", "set", "bridge", "up")

    def _namespace(self, name: str) -> str:
        name = f"{self._name}-{name}"
        ip("netns", "add", name)
        self._made.append(name)
        return name

    def host(self, number: int) -> tuple[str, ...]:
        """Plug in a host; return the command that runs a program on it."""
        name, port = self._namespace(f"host{number}"), f"port{number}"
        ip(
            *("-n", self.switch, "link", "add", port, "type", "veth"),
            *("peer", "name", "eth0", "netns", name),
        )
        ip("-n", self.switch, "link", "set", port, "master", "bridge", "up")
        ip(
            "-n",
            name,
            "address",
            "add",
            f"10.55.0.{number}/24",
            "dev",
            "eth0",
        )
        # A host reaches its own address by way of lo.
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "link", "set", "eth0", "up")
        return "ip", "netns", "exec", name

    def cable(self, number: int, state: str) -> None:
        """Pull the cable of a host ("down") or put it back ("up")."""
        ip("-n", self.switch, "link", "set", f"port{number}", state)

    def close(self) -> None:
        for name in self._made:
            ip("netns", "delete", name)


@pytest.fixture
def network() -> Iterator[Network]:
    needs("ip")
    if os.geteuid():
        skip_or_fail("network namespaces need root")
    made = Network()
    yield made
    made.close()


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for seed in range(8):
        first = folder / f"{seed:04}.jpg"
        first.write_bytes(photograph(seed, width=1200, height=900))
        for number in range(seed + 8, IMAGES, 8):
            (folder / f"{number:04}.jpg").hardlink_to(first)
    return folder


@pytest.mark.timeout(120)
def test_a_pulled_cable_and_a_late_worker_cost_no_image(
    start: Start, network: Network, photographs: Path, tmp_path: Path
) -> None:
    keys, theirs = tmp_path / "keys", tmp_path / "copied"
    assert start("image_pipeline", "keygen", str(keys)).wait() == 0
    theirs.mkdir()
    for name in ("server.key", "client.key_secret"):
        shutil.copy(keys / name, theirs)

    def worker(number: int) -> Program:
        return start(
            *("image_pipeline", "worker", "--keys", str(theirs)),
            *("--tasks", TASKS, "--results", RESULTS, "--once"),
            within=network.host(number),
        )

    here = network.host(1)
    sink = start(
        *("image_pipeline", "sink", str(tmp_path / "thumbs"), "--once"),
        *("--results", RESULTS, "--receipts", RECEIPTS),
        *("--keys", str(keys)),
        within=here,
    )
    ventilator = start(
        *("image_pipeline", "ventilator", str(photographs)),
        *("--tasks", TASKS, "--results", RESULTS, "--receipts", RECEIPTS),
        *("--workers", "2", "--keys", str(keys)),
        within=here,
    )
    near, far = worker(2), worker(3)
    for _ in range(20):
        far.wait_for("^file ")
    network.cable(3, "down")
    late = worker(4)
    late.wait_for("^file ")
    network.cable(3, "up")

    counts = ventilator.wait_for(r"files in .* s: (.*)").group(1)
    assert counts.startswith(f"{IMAGES} made, 0 current, 0 skipped, 0 failed")
    assert ventilator.wait() == 0
    assert sink.wait() == 0
    assert len(list((tmp_path / "thumbs").glob("*.jpg"))) == IMAGES
    for each in (near, far, late):
        assert each.wait() == 0


def test_a_silent_name_server_keeps_nobody_from_getting_in(
    start: Start, tmp_path: Path
) -> None:
    """The trap: libzmq looks a host up in the thread that also greets peers.

    So with one thread a sink that looks for its ventilator is deaf to its
    workers for as long as the lookup takes, here a second at each try.
    """
    needs("ip", "unshare")
    if os.geteuid():
        skip_or_fail("namespaces need root")
    configuration = tmp_path / "resolv.conf"
    configuration.write_text(
        "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"
    )
    (tmp_path / "deaf.py").write_text(
        "import socket, zmq\n"
        "from image_pipeline.transport.sockets import *\n"
        "name_server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "name_server.bind(('127.0.0.1', 53))\n"
        "with (\n"
        "    context() as ours,\n"
        "    bound(ours, zmq.PULL, 'tcp://127.0.0.1:*') as inbox,\n"
        "    connected(ours, zmq.PUSH, 'tcp://ventilator.example:5559'),\n"
        "    zmq.Context() as theirs,\n"
        "    theirs.socket(zmq.PUSH) as worker,\n"
        "):\n"
        "    worker.connect(inbox.endpoint)\n"
        "    worker.send(b'')\n"
        "    print('heard' if inbox.poll(500) else 'deaf')\n"
    )
    script = (
        f"mount --bind {configuration} /etc/resolv.conf && ip link set lo up "
        '&& exec "$@"'
    )
    sink = start(
        "deaf",
        within=("unshare", "--mount", "--net", "sh", "-c", script, "sh"),
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"},
    )
    assert sink.wait() == 0, sink.stderr
    assert sink.stdout == "heard\n"
