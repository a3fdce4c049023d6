"""The shows of the deck: a click kills a process, and nothing is lost.

They are looked at as the room does, in a browser, with the real server; the
processes are real too, and are looked for by their pid. One page shows the
recordings and one the live shows, which are shorter than those of the talk.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from slides.live.shows import COMMANDS
from slides.live.stage import TRACES
from slides.serve import Live
from tests.slides.conftest import CALM
from tests.slides.test_live import served
from tests.support import PATIENCE_S, ROOT, Program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

TCP = "parallel-image-processing-live-click-a-worker"
PING = "ping-pong-live-click-the-server"
MARKS = "how-zeromq-works-live-slow-the-receivers-down"
NEWS = "auxiliary-socket-types-live-the-news-of-two-programs"
PLUGINS = "ipc-plugin-system-live-crash-hang-lie-or-ask"
INPROC = "parallel-image-processing-multithreaded-live-click-a-thread"
COUNTS = ("made", "again", "lost", "total")
COMMAND = {"X-Live": "1"}
SHORT = {"pipeline-tcp": "18", "ping": "7"}  # images, pings of each client


def trace(name: str) -> Any:
    return json.loads((TRACES / f"{name}.json").read_text())


class Shown:
    """A page on the slide of a show, and what it complained of."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"{error}"))
        page.goto(address)
        page.wait_for_function("window.Reveal && Reveal.isReady()")

    def turn_to(self, slide: str) -> None:
        self.complaints.clear()
        self.page.evaluate(
            """id => {
              const { h, v } = Reveal.getIndices(document.getElementById(id));
              Reveal.slide(h, v);
            }""",
            slide,
        )
        self.slide = self.page.locator(f"section[id='{slide}']")
        self.mode = self.slide.locator(".mode")

    def start(self) -> None:
        """Begin a new run, whatever this page shows of the last one."""
        controls = self.slide.locator(".show-bar")
        expect(self.mode).to_have_text("live")
        before = controls.get_attribute("data-run") or ""
        self.press("start")
        expect(controls).not_to_have_attribute("data-run", before)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def press(self, action: str) -> None:
        self.slide.locator(f"[data-action={action}]").click()

    def worker(self, name: str) -> Locator:
        return self.slide.locator(f"[data-worker='{name}']")

    def count(self, name: str) -> int:
        text = self.slide.locator(f"[data-count={name}]").text_content()
        return int(text or "")

    def counts(self) -> dict[str, int]:
        return {name: self.count(name) for name in COUNTS}

    def owed(self) -> set[int]:
        svg = self.slide.locator("svg.diagram")
        return set(map(int, (svg.get_attribute("data-owed") or "").split()))

    def wait_until_made(self, least: int) -> None:
        self.page.wait_for_function(
            """([slide, least]) => +document.querySelector(
              `section[id='${slide}'] [data-count=made]`).textContent
              >= least""",
            arg=[self.slide.get_attribute("id"), least],
            timeout=PATIENCE_S * 1000,
        )

    def wait_until_over(self) -> None:
        controls = self.slide.locator(".show-bar[data-over=true]")
        expect(controls).to_be_attached(timeout=2 * PATIENCE_S * 1000)

    def go_to(self, moment: float) -> str:
        """Scrub there; return all that is drawn."""
        bar = self.slide.locator("[data-action=scrub]")
        bar.evaluate(
            """(bar, moment) => { bar.value = moment;
              bar.dispatchEvent(new Event('input')); }""",
            moment,
        )
        return str(self.slide.locator("svg.diagram").inner_html())


@contextmanager
def opened(browser: Browser, address: str) -> Iterator[Shown]:
    # A small window costs less to draw.
    page = browser.new_page(viewport={"width": 640, "height": 360})
    page.add_init_script(CALM)
    yield Shown(page, address)
    page.context.close()


@pytest.fixture(scope="module")
def recorded(browser: Browser, deck: Path) -> Iterator[Shown]:
    with opened(browser, (deck / "index.html").as_uri()) as shown:
        yield shown


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that all tests leave alive."""
    with pytest.MonkeyPatch.context() as patch:
        for show, count in SHORT.items():
            patch.setitem(COMMANDS, show, (*COMMANDS[show], count))
        with served(Live(tmp_path_factory.mktemp("live"), print)) as http:
            yield f"http://127.0.0.1:{http.server_port}/"


@pytest.fixture(scope="module")
def live(browser: Browser, address: str) -> Iterator[Shown]:
    with opened(browser, address) as shown:
        yield shown


@pytest.fixture
def server() -> Iterator[Program]:
    """A server to kill."""
    program = Program("slides", "serve", "--port", "0")
    yield program
    program.close()


def shown_by(server: Program, browser: Browser) -> Any:
    return opened(browser, server.wait_for(r"Serving (http://\S+)")[1])


def told(address: str, show: str, until: str) -> list[dict[str, Any]]:
    """Listen to a show as a page does, until an event of that kind."""
    port = int(address.split(":")[2].strip("/"))
    events: list[dict[str, Any]] = []
    with closing(HTTPConnection("127.0.0.1", port, PATIENCE_S)) as http:
        http.request("GET", f"/live/{show}")
        answer = http.getresponse()
        while not any(event["kind"] == until for event in events):
            line = answer.readline()
            if line.startswith(b"data: "):
                events += json.loads(line[6:])["events"]
    return events


def post(
    address: str, path: str, headers: dict[str, str] | None = None
) -> int:
    port = int(address.split(":")[2].strip("/"))
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as http:
        http.request("POST", path, headers=headers or {})
        return http.getresponse().status


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_gone(*pids: int) -> None:
    ends = time.monotonic() + PATIENCE_S
    while left := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < ends, f"still there: {left}"
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)],
        capture_output=True,
        text=True,
    ).stdout.split()
    below = [child for each in found for child in children(int(each))]
    return [*map(int, found), *below]


def test_a_click_kills_a_worker_and_another_makes_what_it_owed(
    browser: Browser, live: Shown, address: str
) -> None:
    live.turn_to(TCP)
    live.start()
    live.wait_until_made(3)
    live.worker("worker 2").click()
    expect(live.slide.locator(".said")).to_contain_text("SIGKILL")
    with opened(browser, address) as late:  # and it shows the same
        late.turn_to(TCP)
        live.wait_until_over()
        late.wait_until_over()
        counts = live.counts()
        assert late.counts() == counts
        assert late.complaints == []
    events = told(address, "pipeline-tcp", "over")

    killed = next(event for event in events if event["kind"] == "kill")
    makers = {e["number"]: e["worker"] for e in events if e["kind"] == "made"}
    again = next(e for e in events if e["kind"] == "sent" and e["again"])
    live.go_to(again["t"] + 0.01)  # as the bar has steps of 0.01 s
    owed = live.owed()
    over = events[-1]
    wait_until_gone(killed["pid"])
    assert owed
    assert all(makers[number] != "worker 2" for number in owed)
    assert counts == {
        "made": over["made"],
        "again": over["again"],
        "lost": 0,
        "total": len(makers),
    }
    assert counts["again"] > 0
    assert live.complaints == []


def test_a_click_kills_the_server_and_no_ping_is_lost(
    live: Shown, address: str
) -> None:
    live.turn_to(PING)
    live.start()
    live.wait_until_made(3)
    live.worker("server").click()
    said = live.slide.locator(".said")
    expect(said).to_contain_text("SIGKILL")
    waits = live.slide.locator(".sub", has_text="waits")
    expect(waits.first).to_be_visible()
    expect(said).to_contain_text("a new server")
    live.wait_until_over()
    counts = live.counts()
    events = told(address, "ping", "over")

    killed = next(event for event in events if event["kind"] == "kill")
    pongs = [
        (e["client"], e["number"]) for e in events if e["kind"] == "made"
    ]
    wait_until_gone(killed["pid"])
    assert len(set(pongs)) == len(pongs) == counts["made"] == counts["total"]
    assert counts["again"] == events[-1]["again"] > 0
    assert counts["lost"] == 0
    assert live.complaints == []


def test_four_clicks_on_plugins_have_four_outcomes_and_new_processes(
    live: Shown, address: str
) -> None:
    outcomes = {
        "ask": "reply",
        "crash": "crashed",
        "lie": "protocol error",
        "hang": "timeout",
    }
    live.turn_to(PLUGINS)
    live.start()
    crew = told(address, "plugins", "crew")[-1]["workers"]
    tokens = live.slide.locator(".tokens")
    expect(tokens).to_contain_text("pid")
    for plugin, outcome in outcomes.items():
        live.worker(plugin).click()
        expect(tokens).to_contain_text(outcome)
    expect(tokens).not_to_contain_text("ended")
    counts = live.counts()
    events = told(address, "plugins", "back")

    hurt = {event["worker"] for event in events if event["kind"] == "back"}
    assert hurt == {"crash", "lie", "hang"}
    wait_until_gone(*(crew[plugin] for plugin in hurt))
    assert is_alive(crew["ask"])
    assert counts == {"made": 1, "again": 3, "lost": 3, "total": 4}
    assert live.complaints == []


def test_a_slider_fills_the_queues_push_waits_and_pub_drops(
    live: Shown, address: str
) -> None:
    live.turn_to(MARKS)
    live.start()
    live.wait_until_made(2)
    slider = live.slide.locator("[data-action=slow]")
    slider.evaluate(
        """slider => { slider.value = 3;
          slider.dispatchEvent(new Event('change')); }"""
    )
    expect(live.slide.locator(".sub").last).to_have_text("1 a second")
    tokens = live.slide.locator(".tokens")
    expect(tokens).to_contain_text("send() waits")
    expect(tokens).to_contain_text("dropped")
    lost = live.count("lost")
    events = told(address, "marks", "waits")

    missing = dict.fromkeys(("PUSH", "PUB"), 0)
    for event in events:
        if event["kind"] == "made":
            missing[event["lane"]] += event["lost"]
    assert missing["PUSH"] == 0
    assert missing["PUB"] >= lost > 0
    assert live.complaints == []


def test_news_come_to_a_window_that_asked_and_a_late_one_gets_the_last(
    live: Shown, address: str
) -> None:
    live.turn_to(NEWS)
    live.start()
    expect(live.worker("window 2").locator(".sub")).to_be_visible()
    told(address, "news", "crew")
    live.worker("pingpong").click()
    live.wait_until_made(2)
    live.worker("snapshot").click()
    live.worker("window 2").click()
    late = live.slide.locator("[data-count=again]")
    expect(late).to_have_text("1")
    missed = live.count("lost")
    events = told(address, "news", "snapshot")

    kinds = [event["kind"] for event in events]
    assert kinds.index("subscribed") < kinds.index("passed")
    assert all(
        event["topic"].startswith("pingpong")
        for event in events[: kinds.index("snapshot")]
        if event["kind"] == "passed"
    )
    assert missed >= 1
    assert live.complaints == []


def test_a_thread_cannot_be_killed_by_a_click(live: Shown) -> None:
    live.turn_to(INPROC)
    live.start()
    live.wait_until_made(3)
    live.worker("thread 2").click()
    said = live.slide.locator(".said")
    expect(said).to_have_text("a thread cannot be killed")


@pytest.mark.parametrize(
    ("show", "slide"),
    [
        ("pipeline-tcp", TCP),
        ("pipeline-inproc", INPROC),
        ("ping", PING),
        ("plugins", PLUGINS),
        ("marks", MARKS),
        ("news", NEWS),
    ],
)
def test_without_a_server_a_recorded_run_ends_in_its_counts(
    recorded: Shown, show: str, slide: str
) -> None:
    over = trace(show)["events"][-1]
    recorded.turn_to(slide)
    expect(recorded.mode).to_have_text(
        f"recorded on {trace(show)['recorded']}"
    )
    moments = [recorded.go_to(over["t"] * at / 8) for at in range(1, 8)]
    assert any("data-token" in moment for moment in moments)
    recorded.go_to(over["t"] + 1)
    recorded.wait_until_over()
    counts = recorded.counts()

    begin = trace(show)["events"][0]
    assert counts == {"total": begin["total"]} | {
        name: over[name] for name in COUNTS if name in over
    }
    assert recorded.complaints == []


def test_a_moment_looks_the_same_whichever_way_one_comes_to_it(
    recorded: Shown,
) -> None:
    killed = next(
        event["t"]
        for event in trace("pipeline-tcp")["events"]
        if event["kind"] == "kill"
    )
    recorded.turn_to(TCP)
    first = recorded.go_to(killed + 0.5)
    early = recorded.go_to(2.0)
    again = recorded.go_to(killed + 0.5)

    assert 'class="node harm"' in first
    assert 'class="node harm"' not in early
    assert again == first


def test_a_pause_holds_the_show_and_a_forward_key_does_not_wait_for_it(
    recorded: Shown,
) -> None:
    recorded.turn_to(TCP)
    recorded.go_to(0)  # wherever another test has left it
    recorded.press("restart")
    recorded.wait_until_made(1)
    recorded.press("pause")
    button = recorded.slide.locator("[data-action=pause]")
    expect(button).to_have_text("Go on")
    bar = recorded.slide.locator("[data-action=scrub]")
    held = bar.input_value()
    recorded.page.evaluate("new Promise(done => setTimeout(done, 300))")
    after = bar.input_value()
    recorded.page.keyboard.press("ArrowRight")
    left = recorded.page.evaluate("Reveal.getCurrentSlide().id")

    assert after == held
    assert left != TCP


def test_when_the_server_dies_the_page_plays_the_recording(
    browser: Browser, server: Program
) -> None:
    with shown_by(server, browser) as shown:
        shown.turn_to(TCP)
        shown.start()
        shown.wait_until_made(1)
        pids = children(server.pid)
        server.signal(signal.SIGKILL)
        expect(shown.mode).to_contain_text("recorded on")
        shown.wait_until_made(2)
        complaints = shown.complaints

    assert len(pids) >= 4  # the show and its workers
    wait_until_gone(*pids)
    assert complaints == []


def test_ctrl_c_with_a_page_that_listens_leaves_no_process(
    browser: Browser, server: Program
) -> None:
    with shown_by(server, browser) as shown:
        shown.turn_to(TCP)
        shown.start()
        shown.wait_until_made(1)
        pids = children(server.pid)
        server.signal(signal.SIGINT)
        server.wait()

    assert len(pids) >= 4
    wait_until_gone(*pids)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_show_that_is_run_by_hand_ends_at_ctrl_c(name: str) -> None:
    """The trap: a pool of threads that nobody has told to end."""
    command = [sys.executable, "-m", *COMMANDS[name]]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe) as show:
        assert show.stdout
        waits_for_a_click = name in ("plugins", "news")
        for _ in range(2 if waits_for_a_click else 3):
            assert show.stdout.readline()  # until it is in the middle of it
        show.send_signal(signal.SIGINT)
        try:
            show.wait(PATIENCE_S)
        finally:
            show.kill()


def test_the_speaker_view_opens_no_stream_of_its_own(
    browser: Browser, address: str
) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}?receiver#/{TCP}")
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    killed = page.locator(f"section[id='{TCP}'] svg .bad").first
    expect(killed).to_be_visible()  # the still drawing
    page.context.close()

    assert not [url for url in asked if "/live/" in url]


def test_who_wants_no_motion_sees_the_still_drawing(
    browser: Browser, deck: Path
) -> None:
    page = browser.new_page(reduced_motion="reduce")
    page.goto(f"{(deck / 'index.html').as_uri()}#/{TCP}")
    slide = page.locator(f"section[id='{TCP}']")
    expect(slide.locator("svg .bad").first).to_be_visible()
    controls = slide.locator(".show-bar").count()
    page.context.close()

    assert controls == 0


def test_only_the_deck_itself_can_kill(address: str) -> None:
    host = address.split("/")[2]
    assert post(address, "/live/pipeline-tcp/start", COMMAND) == 204
    crew = told(address, "pipeline-tcp", "crew")[-1]["workers"]
    kill = "/live/pipeline-tcp/kill?worker=worker%201"

    assert post(address, kill) == 403
    for header in (
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Host": "example.org"},
        {"Host": host.replace("127.0.0.1", "127.0.0.2")},
    ):
        assert post(address, kill, COMMAND | header) == 403, header
    stranger = f"/live/pipeline-tcp/kill?worker={os.getpid()}"
    assert post(address, stranger, COMMAND) == 404
    assert post(address, "/live/no-such-show/start", COMMAND) == 404
    assert all(map(is_alive, crew.values()))
    ours = COMMAND | {"Origin": f"http://{host}"}
    assert post(address, kill, ours) == 204
    told(address, "pipeline-tcp", "kill")


@pytest.mark.parametrize("name", ["pipeline-tcp", "pipeline-inproc", "ping"])
def test_a_trace_is_a_run_in_which_nothing_is_lost(name: str) -> None:
    events = trace(name)["events"]
    begin, over = events[0], events[-1]
    made = [
        (e.get("client"), e["number"]) for e in events if e["kind"] == "made"
    ]
    times = [event["t"] for event in events]
    crew: set[str] = set()
    for event in events:
        if event["kind"] == "crew":
            crew = set(event["workers"])
        elif event["kind"] == "started":
            assert event["worker"] in crew

    assert len(set(made)) == len(made) == begin["total"]
    assert over["made"] == begin["total"]
    assert over["lost"] == 0
    assert times == sorted(times)
