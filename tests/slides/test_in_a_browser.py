"""The deck as the room will see it: each slide and step, in a Chromium.

It opens from file:// with name resolution switched off, in the two sizes
that projectors have, and is walked from the first step to the last.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, expect

from slides import DECK, TALK_S, DeckError
from slides.deck import read
from slides.paper import NAMES, print_to
from tests.slides.conftest import CALM

# Chromium on a busy machine takes its time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SIZES = {"720p": (1280, 720), "1080p": (1920, 1080)}
SMALLEST_PX = 18  # at 720p; what the back row can read
CODE_PX = 22

# What is wrong with the slide that is shown: a sentence each.
LOOK = """() => {
  const slide = Reveal.getCurrentSlide().querySelector('.slide');
  const scale = Reveal.getScale();
  const frame = slide.getBoundingClientRect();
  const faults = [];
  const within = (inner, outer, room = 1.5) =>
    inner.left >= outer.left - room && inner.right <= outer.right + room &&
    inner.top >= outer.top - room && inner.bottom <= outer.bottom + room;
  const boxOf = (selector) =>
    slide.querySelector(selector).getBoundingClientRect();

  const body = boxOf('.body');
  const proofs = boxOf('footer');
  for (const child of slide.querySelectorAll('.body > :not(.drawing), pre')) {
    if (!within(child.getBoundingClientRect(), body, 2)) {
      faults.push(`overflows: <${child.tagName}> ${child.textContent.trim()
        .slice(0, 40)}`);
    }
  }
  const number = boxOf('.page');
  const words = document.createTreeWalker(slide, NodeFilter.SHOW_TEXT);
  while (words.nextNode()) {
    const text = words.currentNode.data.trim();
    const element = words.currentNode.parentElement;
    if (!text || element.closest('title, desc, style')) continue;
    const range = document.createRange();
    range.selectNodeContents(words.currentNode);
    const box = range.getBoundingClientRect();
    const says = text.slice(0, 40);
    if (!within(box, frame)) faults.push(`off the slide: ${says}`);
    if (!element.matches('.page') && box.right > number.left &&
        box.bottom > number.top) {
      faults.push(`under the slide's number: ${says}`);
    }
    if (proofs.height && element.closest('.body') &&
        box.bottom > proofs.top + 1) {
      faults.push(`over what proves it: ${says}`);
    }
    const svg = element.closest('svg');
    if (svg && !within(box, svg.getBoundingClientRect())) {
      faults.push(`clipped by its drawing: ${says}`);
    }
    const pixels = parseFloat(getComputedStyle(element).fontSize) *
      (svg ? element.getScreenCTM().a / scale : 1);
    const least = element.closest('pre') ? CODE : SMALLEST;
    if (pixels < least - 0.01) {
      faults.push(`only ${pixels.toFixed(1)} px: ${says}`);
    }
  }
  for (const element of slide.querySelectorAll('*')) {
    const style = getComputedStyle(element);
    if (style.overflow !== 'visible' && !element.closest('svg') &&
        (element.scrollWidth > element.clientWidth + 1 ||
         element.scrollHeight > element.clientHeight + 1)) {
      faults.push(`clipped: <${element.tagName}>`);
    }
  }
  for (const image of slide.querySelectorAll('img')) {
    if (!image.naturalWidth) faults.push(`no picture: ${image.src}`);
  }
  const notes = Reveal.getSlideNotes();
  if (!notes || !notes.trim()) faults.push('no notes');
  if (!(Reveal.getCurrentSlide().dataset.timing >= 0)) faults.push('no time');
  for (const link of slide.querySelectorAll('a[href^="#"]')) {
    const name = link.getAttribute('href').replace('#/', '');
    if (!document.getElementById(name)) faults.push(`dead link ${name}`);
  }
  return faults;
}""".replace("SMALLEST", str(SMALLEST_PX)).replace("CODE", str(CODE_PX))

STEP = """() => {
  const at = () => JSON.stringify(Reveal.getIndices());
  const before = at();
  Reveal.next();
  return at() !== before;
}"""


class Room:
    """A page that shows the deck, and what it complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._complain(f"error: {error}"))
        page.on("request", self._request)

    def enter(self, address: str) -> None:
        self.page.goto(address)
        self.page.wait_for_function("window.Reveal && Reveal.isReady()")
        self.page.evaluate("document.fonts.ready")

    def walk(self) -> Iterator[str]:
        """Go through every step; yield the faults that are to be seen."""
        while True:
            title = self.page.evaluate("Reveal.getCurrentSlide().id")
            for fault in self.page.evaluate(LOOK):
                yield f"{title}: {fault}"
            if not self.page.evaluate(STEP):
                break
        yield from self.complaints

    def _complain(self, what: str) -> None:
        self.complaints.append(what)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self._complain(f"console: {message.text}")

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self._complain(f"request: {request.url}")


@contextmanager
def opened(browser: Browser, deck: Path) -> Iterator[Room]:
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.add_init_script(CALM)
    room = Room(page)
    room.enter((deck / "index.html").as_uri())
    yield room
    page.context.close()


@pytest.fixture
def room(browser: Browser, deck: Path) -> Iterator[Room]:
    with opened(browser, deck) as room:
        yield room


# To open the deck takes far longer than to look at one slide of it.
@pytest.fixture(scope="module")
def workshop(browser: Browser, deck: Path) -> Iterator[Room]:
    """A room whose last slide is damaged and mended again and again."""
    with opened(browser, deck) as room:
        last = "Reveal.slide(Reveal.getTotalSlides() - 1, 0, 99)"
        room.page.evaluate(last)
        yield room


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_every_step_of_every_slide_is_whole_and_legible(
    room: Room, size: tuple[int, int]
) -> None:
    room.page.set_viewport_size({"width": size[0], "height": size[1]})
    room.page.evaluate("Reveal.layout()")

    assert list(room.walk()) == []
    assert room.page.evaluate("Reveal.isLastSlide()")
    assert room.page.locator(".fragment:not(.visible)").count() == 0


# A checker that sees nothing would pass too: each of these must be seen.
SEEDS = {
    "overflows": "body.innerHTML = '<p>line</p>'.repeat(30)",
    "off the slide": "body.innerHTML = `<p>${'wide'.repeat(200)}</p>`",
    "clipped:": (
        "body.innerHTML = `<pre style='overflow: hidden; width: 300px'>"
        "${'wide'.repeat(200)}</pre>`"
    ),
    "only 21.0 px": (
        "body.innerHTML = '<pre style=\"font-size:21px\">a</pre>'"
    ),
    "only 17.0 px": "body.innerHTML = '<p style=\"font-size:17px\">a</p>'",
    "only 12.0 px": (
        'body.innerHTML = \'<svg viewBox="0 0 200 100" width="100">'
        '<text y="50" font-size="24">a</text></svg>\''
    ),
    "clipped by its drawing": (
        'body.innerHTML = \'<svg viewBox="0 0 99 99" width="99">'
        '<text x="90" y="50" font-size="24">abc</text></svg>\''
    ),
    "under the slide's number": (
        "slide.querySelector('.slide').insertAdjacentHTML('beforeend',"
        " '<b style=\"position:absolute;right:64px;bottom:30px\">b</b>')"
    ),
    "over what proves it": (
        'body.innerHTML = \'<figure class="drawing"><p style="position:'
        "absolute;bottom:30px\">b</p></figure>'"
    ),
    "no notes": "slide.querySelector('.notes').remove()",
    "no time": "delete slide.dataset.timing",
    "dead link": "body.innerHTML = '<a href=\"#/nowhere\">a</a>'",
    "no picture": "body.innerHTML = '<img src=\"nope.png\">'",
    "request: https": (
        "body.innerHTML = '<img src=\"https://example.org/a.png\">'"
    ),
    "console: oh": "console.error('oh')",
    "error: nope": "setTimeout(() => nope())",
}


MEND = """() => {
  const slide = Reveal.getCurrentSlide();
  slide.whole ??= [slide.innerHTML, slide.dataset.timing];
  [slide.innerHTML, slide.dataset.timing] = slide.whole;
}"""


@pytest.mark.parametrize("fault", SEEDS)
def test_a_fault_that_is_put_in_is_seen(workshop: Room, fault: str) -> None:
    workshop.page.evaluate(MEND)
    workshop.complaints.clear()
    assert list(workshop.walk()) == []

    workshop.page.evaluate(
        f"""() => {{
          const slide = Reveal.getCurrentSlide();
          const body = slide.querySelector('.body');
          {SEEDS[fault]};
        }}"""
    )
    # An error is told in a turn of its own: let the page take one more.
    workshop.page.evaluate("new Promise(done => setTimeout(done, 50))")

    assert any(fault in seen for seen in workshop.walk())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_of(
    browser: Browser, deck: Path, scheme: Any
) -> None:
    # index.html as it opens; the other shows every step of all slides.
    found = []
    pages = (
        ("index.html", "read.html") if scheme == "light" else ("read.html",)
    )
    for name in pages:
        page = browser.new_page(color_scheme=scheme)
        page.goto((deck / name).as_uri())
        page.evaluate(AXE_SCRIPT)
        # The colours of code, which are thousands of spans, are held by
        # test_words_stand_out_from_what_they_are_written_on.
        where = {"include": ["html"], "exclude": [["pre span"]]}
        rules: dict[str, Any] = {"resultTypes": ["violations"]}
        if scheme == "dark":  # where only colours differ
            rules["runOnly"] = "color-contrast"
        found += page.evaluate(
            "async ([where, rules]) =>"
            " (await axe.run(where, rules)).violations",
            [where, rules],
        )
        page.context.close()

    assert [
        f"{violation['id']}: {node['html'][:200]}"
        for violation in found
        for node in violation["nodes"]
    ] == []


def test_the_speaker_view_opens_over_file_and_shows_the_notes(
    room: Room,
) -> None:
    with room.page.expect_popup() as opened:
        room.page.keyboard.press("s")
    speaker = opened.value
    notes = speaker.locator(".speaker-controls-notes .value")

    expect(notes).to_contain_text("do programs say to each other")
    room.page.bring_to_front()
    room.page.keyboard.press("ArrowRight")
    expect(notes).to_contain_text("and its virtue is simplicity")
    speaker.close()


def test_a_key_shows_the_overview_and_another_the_keys(room: Room) -> None:
    room.page.keyboard.press("o")
    assert room.page.evaluate("Reveal.isOverview()")
    room.page.keyboard.press("o")
    room.page.keyboard.press("Shift+?")
    expect(room.page.locator(".r-overlay")).to_contain_text("Light or dark")


def test_a_key_changes_between_light_and_dark(room: Room) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    before = room.page.evaluate(paper)
    room.page.keyboard.press("t")
    after = room.page.evaluate(paper)
    room.page.keyboard.press("t")

    assert before != after
    assert room.page.evaluate(paper) == before


@pytest.mark.usefixtures("browser")  # or skip
@pytest.mark.parametrize("page", ["print.html", "handout.html"])
def test_a_pdf_has_every_slide_a_bookmark_for_each_and_no_path_of_ours(
    deck: Path, tmp_path: Path, page: str
) -> None:
    pdf = tmp_path / "slides.pdf"
    print_to(pdf, deck / page)

    printed = pdf.read_bytes()
    assert printed.count(b"/Type /Page\n") == len(read(DECK))
    assert printed.count(b"/Title ") >= len(read(DECK))
    assert b"https://zguide.zeromq.org" in printed
    assert b"file:" not in printed


@pytest.mark.parametrize("width", [390, 1280])
def test_the_reading_page_fits_any_screen(
    browser: Browser, deck: Path, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.goto((deck / "read.html").as_uri())
    across = page.evaluate("document.documentElement.scrollWidth")
    pictures = page.locator(".picture").all()
    first = pictures[0].bounding_box()
    slide = pictures[0].locator(".slide").bounding_box()
    said = page.locator(".notes").first
    size = said.evaluate(
        "note => parseFloat(getComputedStyle(note).fontSize)"
    )
    shown = said.is_visible()
    page.context.close()

    assert across <= width
    assert len(pictures) == len(read(DECK))
    assert first and slide
    assert abs(first["width"] - slide["width"]) < 4
    assert shown and size >= 16


def test_a_pdf_that_was_cut_off_is_not_called_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As Chromium ends on a full disk.
    chromium = tmp_path / NAMES[0]
    chromium.write_text(
        "#!/bin/sh\nfor option; do case $option in --print-to-pdf=*)\n"
        'printf "%%PDF-1.4" > "${option#*=}" ;; esac; done\n'
    )
    chromium.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    pdf = tmp_path / "slides.pdf"

    with pytest.raises(DeckError, match="did not print"):
        print_to(pdf, tmp_path / "print.html")
    assert not pdf.exists()


def test_the_speaker_view_paces_the_talk(room: Room) -> None:
    assert room.page.evaluate("Reveal.getConfig().totalTime") == TALK_S
