"""While the author writes, the page follows, and stays on its slide."""

import queue
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from slides import HERE, ROOT
from slides.live.web import Server
from slides.serve import Live, server
from slides.site import build
from tests.support import PATIENCE_S

pytestmark = pytest.mark.slow

SLIDE = """## Part

### Slide {number}

<!-- time: 30 -->

{words}
"""


def write(deck: Path, words: str) -> None:
    deck.write_text(
        "\n---\n\n".join(
            SLIDE.format(number=number, words=words) for number in (1, 2, 3)
        )
    )


@pytest.fixture
def deck_being_written(tmp_path: Path) -> Path:
    path = tmp_path / "deck.md"
    write(path, "before")
    return path


@pytest.fixture
def said() -> "queue.SimpleQueue[str]":
    return queue.SimpleQueue()


@contextmanager
def served(live: Live) -> Iterator[Server]:
    with server(live, 0) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield http
        http.shutdown()
        thread.join(10)


@pytest.fixture
def address(
    tmp_path: Path,
    deck_being_written: Path,
    said: "queue.SimpleQueue[str]",
) -> Iterator[str]:
    live = Live(tmp_path / "out", said.put, deck_being_written)
    with served(live) as http:
        yield f"http://127.0.0.1:{http.server_port}/"


def test_an_edit_shows_at_once_and_keeps_the_slide(
    browser: Browser, address: str, deck_being_written: Path
) -> None:
    page = browser.new_page()
    page.goto(f"{address}#/part-slide-2")
    shown = page.locator("section.present")
    expect(shown).to_contain_text("before")
    write(deck_being_written, "after")

    expect(shown).to_contain_text("after")
    expect(shown).to_contain_text("Slide 2")
    page.context.close()


def test_a_slip_of_the_author_leaves_the_last_good_deck_standing(
    browser: Browser,
    address: str,
    deck_being_written: Path,
    said: "queue.SimpleQueue[str]",
) -> None:
    page = browser.new_page()
    page.goto(address)
    shown = page.locator("section.present")
    expect(shown).to_contain_text("before")
    deck_being_written.write_text("no slide at all")
    while "needs a heading" not in said.get(timeout=PATIENCE_S):
        pass
    expect(shown).to_contain_text("before")
    write(deck_being_written, "mended")

    expect(shown).to_contain_text("mended")
    page.context.close()


def test_a_disk_that_takes_no_deck_is_told(
    tmp_path: Path,
    deck_being_written: Path,
    said: "queue.SimpleQueue[str]",
) -> None:
    full = tmp_path / "full"
    full.touch()
    Live(full / "out", said.put, deck_being_written).version()

    assert str(full) in said.get(timeout=PATIENCE_S)


def test_a_page_that_is_left_while_it_loads_is_no_error(
    tmp_path: Path,
    deck_being_written: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    live = Live(tmp_path / "out", print, deck_being_written)
    with served(live) as http:
        http.daemon_threads = False  # so its end waits for every request
        here = ("127.0.0.1", http.server_port)
        with socket.create_connection(here, PATIENCE_S) as left:
            left.sendall(b"GET / HTTP/1.1\r\n")
            at_once = struct.pack("ii", 1, 0)
            left.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        with closing(HTTPConnection(*here, timeout=PATIENCE_S)) as stays:
            stays.request("GET", "/")
            assert stays.getresponse().status == 200

    assert capfd.readouterr().err == ""


def test_the_deck_is_made_of_its_text_drawings_and_quoted_source(
    tmp_path: Path,
) -> None:
    read = build(tmp_path)

    assert HERE / "deck.md" in read
    assert HERE / "diagrams" / "ping-pong.svg" in read
    assert ROOT / "pingpong" / "server.py" in read
