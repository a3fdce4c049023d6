"""The deck's server: for its own page, and for nobody else."""

import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from slides.serve import Files, Live, server
from tests.support import PATIENCE_S


@pytest.fixture
def port(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[int]:
    """A served folder with a page, a link out, and no traceback."""
    (tmp_path / "secret").write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    (out / "page.html").write_text("a page")
    (out / "inside").symlink_to("page.html")
    (out / "leak").symlink_to(tmp_path / "secret")
    (out / "up").symlink_to("..")
    (tmp_path / "deck.md").write_text("## A\n\n<!-- time: 1 -->\n")
    with server(Live(out, lambda _: None, tmp_path / "deck.md"), 0) as http:
        serving = threading.Thread(target=http.serve_forever)
        serving.start()
        yield http.server_port
        http.shutdown()
        serving.join(PATIENCE_S)
    assert capfd.readouterr().err == ""


def status(port: int, path: str, host: str = "") -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        headers = {"Host": host} if host else {}
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_only_a_page_of_this_machine_is_given_the_deck(port: int) -> None:
    """The trap: a name of another site may point to 127.0.0.1."""
    for host in ("", "localhost", "localhost:80", f"127.0.0.1:{port}"):
        assert status(port, "/page.html", host) == 200, host
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.x", "["):
        assert status(port, "/page.html", host) == 403, host


def test_no_link_and_no_odd_path_leads_out_of_the_deck(port: int) -> None:
    assert status(port, "/inside") == 200
    for path in (
        *("/leak", "/up/secret", "/../secret", "/%2e%2e/secret"),
        *("/%00", "/page.html%00", "/%ff", "//["),
    ):
        assert status(port, path) == 404, path


def test_a_connection_that_says_nothing_is_ended(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trap: each one keeps a thread for as long as it likes."""
    monkeypatch.setattr(Files, "timeout", 0.3)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as silent:
        silent.sendall(b"GET /page.html HT")
        assert silent.recv(100) == b""
    assert time.monotonic() - began < PATIENCE_S / 2
