"""One Chromium for all tests of the deck, and one deck built for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from slides.paper import chromium
from slides.site import build
from tests.support import PATIENCE_S, made_once, skip_or_fail

# No name resolves: what asks for the network fails, at once and in sight.
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
# What moves is drawn seven times a second: sixty cost a core, unseen.
CALM = """window.requestAnimationFrame = (draw) =>
  setTimeout(() => draw(performance.now()), 150);"""


# Its own patience is 5 s, and a busy machine may need them.
expect.set_options(timeout=PATIENCE_S * 1000)


# Not for the session: while Playwright is there an event loop is running, and
# no test that comes later could start another.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not (command := chromium()):
        skip_or_fail("not installed: chromium")
    program, *options = command
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=[OFFLINE, *options]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built deck; the workers of xdist share one."""
    return made_once(tmp_path_factory, "deck", build)
