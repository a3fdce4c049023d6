"""Two registries for chapter 18, etcd and Consul, and how to run them.

A registry is told again and again where a server is, and forgets it when it
is not told in time. Both speak JSON over HTTP. Sources: etcd 3.4, "gRPC
gateway" and "Lease"; Consul 1.8, "Agent HTTP API", "Service" and "Health".
"""

import base64
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.patterns.helpers import PATIENCE_S
from tests.support import needs


class Registry(Protocol):
    """What chapter 18 needs of a registry."""

    def announce(self, name: str, endpoint: str, ttl_s: int) -> None: ...
    def look_up(self, name: str) -> str | None: ...
    def is_ready(self) -> bool: ...


@dataclass(frozen=True)
class Etcd:
    """etcd keeps a key as long as the lease that it was put under."""

    at: str

    def announce(self, name: str, endpoint: str, ttl_s: int) -> None:
        lease = self._call("lease/grant", TTL=ttl_s)["ID"]
        key, value = _b64(name), _b64(endpoint)
        self._call("kv/put", key=key, value=value, lease=lease)

    def look_up(self, name: str) -> str | None:
        for entry in self._call("kv/range", key=_b64(name)).get("kvs", []):
            return base64.b64decode(entry["value"]).decode()
        return None

    def is_ready(self) -> bool:
        return bool(_http(self.at, "GET", "/health")["health"] == "true")

    def _call(self, method: str, **body: str | int) -> Any:
        return _http(self.at, "POST", f"/v3/{method}", body)


@dataclass(frozen=True)
class Consul:
    """Consul keeps a service healthy as long as its check has not expired."""

    at: str

    def announce(self, name: str, endpoint: str, ttl_s: int) -> None:
        service = {
            "Name": name,
            "Meta": {"endpoint": endpoint},
            "Check": {"TTL": f"{ttl_s}s"},
        }
        _http(self.at, "PUT", "/v1/agent/service/register", service)
        _http(self.at, "PUT", f"/v1/agent/check/pass/service:{name}")

    def look_up(self, name: str) -> str | None:
        path = f"/v1/health/service/{name}?passing=true"
        for entry in _http(self.at, "GET", path):
            return str(entry["Service"]["Meta"]["endpoint"])
        return None

    def is_ready(self) -> bool:
        return bool(_http(self.at, "GET", "/v1/status/leader"))


def registry(url: str) -> Registry:
    """Return the registry at a URL like consul://127.0.0.1:8500."""
    kind, at = url.split("://")
    return Etcd(at) if kind == "etcd" else Consul(at)


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _http(at: str, method: str, path: str, body: object = None) -> Any:
    with closing(HTTPConnection(at, timeout=PATIENCE_S)) as connection:
        connection.request(method, path, json.dumps(body) if body else None)
        answer = connection.getresponse()
        content = answer.read()
    if answer.status != 200:
        raise OSError(f"{at}{path} says {answer.status}: {content!r}")
    return json.loads(content) if content else None


@contextmanager
def running(kind: str, folder: Path) -> Iterator[str]:
    """Run etcd or consul on loopback; yield its URL once it is ready."""
    needs(kind)
    for attempt in range(3):  # somebody may take a port before it does
        at, *peers = (f"127.0.0.1:{_free_port()}" for _ in range(3))
        command = (
            _etcd_command(at, folder / f"{attempt}")
            if kind == "etcd"
            else _consul_command(at, *peers)
        )
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            if _becomes_ready(process, url := f"{kind}://{at}"):
                yield url
                return
        finally:
            process.kill()
            process.wait(PATIENCE_S)
    pytest.fail(f"{kind} did not become ready in three tries")


def _becomes_ready(process: subprocess.Popen[bytes], url: str) -> bool:
    """Wait until it answers; False if it ends, or takes too long."""
    deadline = time.monotonic() + PATIENCE_S / 3
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if registry(url).is_ready():
                return True
        except OSError:  # not there yet
            time.sleep(0.05)
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _etcd_command(at: str, folder: Path) -> list[str]:
    url, peers = f"http://{at}", "http://127.0.0.1:0"  # there are none
    return [
        *("etcd", "--data-dir", str(folder)),
        *("--listen-client-urls", url, "--advertise-client-urls", url),
        *("--listen-peer-urls", peers),
        *("--initial-advertise-peer-urls", peers),
        *("--initial-cluster", f"default={peers}"),
        *("--heartbeat-interval", "100", "--election-timeout", "500"),
    ]


def _consul_command(at: str, server: str, serf: str) -> list[str]:
    http_port, server_port, serf_port = (
        place.rpartition(":")[2] for place in (at, server, serf)
    )
    return [
        *("consul", "agent", "-dev", "-bind", "127.0.0.1"),
        *("-http-port", http_port, "-server-port", server_port),
        *("-serf-lan-port", serf_port, "-serf-wan-port", "-1"),
        *("-dns-port", "-1", "-grpc-port", "-1"),
    ]
