"""The containers of compose.yaml, run for real: one worker is killed.

Needs podman and runc, and mmdebstrap for a base image that is built here
instead of being fetched. As root, since it kills a process of a container.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_pipeline.demo.photographs import photograph
from tests.support import ROOT

PHOTOGRAPHS = 40
BASE = "localhost/python:3.13-slim"  # as the Dockerfile names it
NEEDED = ("podman", "podman-compose", "runc", "iptables", "mmdebstrap")
PROJECT = f"beyond-http-test-{os.getpid()}"  # others may run it now, too
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
# Where there is a proxy with a certificate of its own, pip needs it.
FROM_HERE = ("/etc/ssl/certs", "/etc/pip.conf")
CONFIGURATION = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
"""
# An engine's name server passes on what it does not know yet, one name after
# the other. Where nobody answers, as offline, it is of no use for minutes.
NET = f"10.{100 + os.getpid() // 250 % 100}.{os.getpid() % 250}"
HOSTS = f"""\
networks:
  default:
    ipam: {{config: [{{subnet: {NET}.0/24}}]}}
services:
  ventilator:
    networks: {{default: {{ipv4_address: {NET}.10}}}}
    extra_hosts: ["sink:{NET}.11"]
  sink:
    networks: {{default: {{ipv4_address: {NET}.11}}}}
    extra_hosts: ["ventilator:{NET}.10"]
  worker:
    extra_hosts: ["sink:{NET}.11", "ventilator:{NET}.10"]
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        bool(os.geteuid()) and not os.environ.get("CI"),
        reason="kills a process of a container, which only root may",
    ),
    pytest.mark.skipif(
        not all(shutil.which(name, path=PATH) for name in NEEDED)
        and not os.environ.get("CI"),
        reason=f"there is no container engine here: {', '.join(NEEDED)}",
    ),
]


def run(
    *argv: str | Path,
    environment: dict[str, str],
    timeout: float = 120,
    feed: bytes | None = None,
) -> str:
    done = subprocess.run(
        argv,
        env=environment,
        cwd=ROOT,
        input=feed,
        capture_output=True,
        timeout=timeout,
    )
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done.stdout.decode()


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Folders and keys for the containers, which are gone at the end."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    (tmp_path / "containers.conf").write_text(CONFIGURATION)
    here = os.environ | {
        "PATH": PATH,
        "CONTAINERS_CONF": str(tmp_path / "containers.conf"),
        "PIPELINE_USER": "1000:1000",
        "PIPELINE_IMAGE": "localhost/beyond-http-test",
        "PHOTOGRAPHS": str(tmp_path / "photographs"),
        "THUMBNAILS": str(tmp_path / "thumbnails"),
    }
    yield here
    ours = f"name={PROJECT}_"
    remove = ("podman", "rm", "--force", "--time", "0", "--filter", ours)
    subprocess.run(remove, env=here, capture_output=True, timeout=60)
    network = ("podman", "network", "rm", "--force", f"{PROJECT}_default")
    subprocess.run(network, env=here, capture_output=True, timeout=60)


def build(environment: dict[str, str], folder: Path) -> None:
    if not has(BASE, environment):
        bare = folder / "bare.tar"
        run(
            *("mmdebstrap", "--quiet", "--variant=minbase"),
            "--include=ca-certificates,python3-pip,python-is-python3",
            '--customize-hook=rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
            *("trixie", bare),
            environment=environment,
            timeout=200,
        )
        run(
            *("podman", "import", "--quiet", bare, BASE),
            environment=environment,
        )
    mounts = [f"--volume={path}:{path}:ro" for path in FROM_HERE]
    run(
        *("podman", "build", "--quiet", "--network=host", "--pull=never"),
        *[each for each in mounts if Path(each.split(":")[1]).exists()],
        *("--tag", environment["PIPELINE_IMAGE"], "."),
        environment=environment,
        timeout=200,
    )


def said_by_the_containers(environment: dict[str, str]) -> str:
    """Return the last lines of each, for the message of a failed test."""
    said = ""
    for role in ("ventilator", "sink", "worker"):
        logs = ("podman", "logs", "--tail", "5", f"{PROJECT}_{role}_1")
        done = subprocess.run(
            logs, env=environment, capture_output=True, timeout=60
        )
        said += f"{role}: {done.stdout + done.stderr!r}\n"
    return said


def has(image: str, environment: dict[str, str]) -> bool:
    asked = ("podman", "image", "exists", image)
    return not subprocess.run(asked, env=environment, timeout=60).returncode


def test_forty_photographs_are_made_although_a_worker_is_killed(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """`docker compose up`, and SIGKILL for the process of one worker."""
    build(environment, tmp_path)
    for name in ("photographs", "thumbnails"):
        (tmp_path / name).mkdir(mode=0o755)
    photographs = [photograph(seed) for seed in range(4)]
    for number in range(PHOTOGRAPHS):
        photo = tmp_path / "photographs" / f"{number:02}.jpg"
        photo.write_bytes(photographs[number % 4])
    run(
        *(sys.executable, "-m", "image_pipeline", "keygen"),
        tmp_path / "keys",
        environment=environment,
    )
    for path in (tmp_path / "thumbnails", *(tmp_path / "keys").iterdir()):
        os.chown(path, 1000, 1000)
    os.chown(tmp_path / "keys", 1000, 1000)
    compose = tmp_path / "compose.yaml"
    shutil.copy(ROOT / "compose.yaml", compose)
    hosts = tmp_path / "hosts.yaml"
    hosts.write_text(HOSTS)
    files = ("--file", str(compose), "--file", str(hosts))
    command = ("podman-compose", *files, "-p", PROJECT)
    run(
        *command,
        *("up", "--detach", "--no-build", "--scale", "worker=2"),
        environment=environment,
    )

    made = tmp_path / "thumbnails"
    deadline = time.monotonic() + 60
    while len(list(made.glob("*.jpg"))) < PHOTOGRAPHS // 4:
        if time.monotonic() > deadline:
            pytest.fail(said_by_the_containers(environment))
        time.sleep(0.02)
    container = f"{PROJECT}_worker_1"
    asked = ("podman", "inspect", "--format", "{{.State.Pid}}", container)
    init = run(*asked, environment=environment).strip()
    children = Path(f"/proc/{init}/task/{init}/children").read_text()
    os.kill(int(children.split()[0]), signal.SIGKILL)

    ended = run(
        *("podman", "wait", f"{PROJECT}_ventilator_1"),
        environment=environment,
    )
    assert ended.strip() == "0"
    assert len(list(made.glob("*.jpg"))) == PHOTOGRAPHS
    asked = ("podman", "inspect", "--format", "{{.RestartCount}}", container)
    deadline = time.monotonic() + 30
    while run(*asked, environment=environment).strip() == "0":
        assert time.monotonic() < deadline, "the worker was not restarted"
        time.sleep(0.1)
