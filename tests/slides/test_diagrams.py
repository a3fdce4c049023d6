"""The deck's diagrams: one grid, one style, and every word legible.

Each SVG stands alone (a picture on GitHub) and is also set into the deck,
where several of them share one document and the theme's variables. What
can be read off the text is checked as text; what only a browser knows, the
width of a word, is measured in Chromium.
"""

import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser, Page

from tests.support import ROOT

FOLDER = ROOT / "slides" / "diagrams"
DIAGRAMS = sorted(FOLDER.glob("*.svg"))
THEME = ROOT / "slides" / "theme.css"
SVG = "{http://www.w3.org/2000/svg}"

# Where one word of the vocabulary is missing, a theme cannot recolour it.
VARIABLES = {
    "--ink", "--muted", "--paper", "--accent", "--accent-2", "--box",
    "--box-line", "--wire", "--ok", "--warn", "--bad", "--sans", "--mono",
}  # fmt: skip
CANVAS_WIDTH = 1200
# A diagram that a slide of 1280 x 720 shows beside wide margins.
NARROWEST_PX = 1000
LEGIBLE_PX = 18
LEAST_UNITS = 26

THE_TALK_ASKS_FOR = {
    "http-thin-clients",
    "what-we-want",
    "what-happens",
    "raw-socket",
    "ping-pong",
    "ping-pong-clients",
    "pub-sub",
    "push-pull",
    "proxy",
    "router-dealer",
    "queues-hwm",
    "high-water-marks",
    "news",
    "frames-envelope",
    "config-discovery",
    "pipeline-tcp",
    "pipeline-inproc",
    "plugin-system",
    "pair-stream",
    "peers-with-sockets",
    "one-to-many",
}


def root_of(path: Path) -> ElementTree.Element:
    return ElementTree.parse(path).getroot()  # noqa: S314  our own file


def style_of(path: Path) -> str:
    style = root_of(path).find(f"{SVG}style")
    assert style is not None and style.text
    return style.text


# ---------------------------------------------------------------------------
# what the text of the file says
# ---------------------------------------------------------------------------


def test_each_diagram_that_the_talk_asks_for_is_drawn() -> None:
    assert {path.stem for path in DIAGRAMS} == THE_TALK_ASKS_FOR


def test_a_diagram_scales_and_is_read_out_by_its_title() -> None:
    for path in DIAGRAMS:
        root = root_of(path)

        assert root.tag == f"{SVG}svg"
        assert root.get("viewBox") == f"0 0 {CANVAS_WIDTH} 520"
        assert root.get("width") is None and root.get("height") is None
        assert root.get("role") == "img"
        named = [root.find(f"{SVG}title"), root.find(f"{SVG}desc")]
        ids = []
        for element in named:
            assert element is not None and (element.text or "").strip()
            ids.append(element.get("id"))
        assert root.get("aria-labelledby") == " ".join(map(str, ids))


def test_no_two_diagrams_share_an_id() -> None:
    # Set into the deck, they share one document.
    owners: dict[str, Path] = {}
    for path in DIAGRAMS:
        for element in root_of(path).iter():
            if name := element.get("id"):
                assert name.startswith(f"{path.stem}-")
                assert name not in owners, f"{path.name}, {owners[name].name}"
                owners[name] = path


def test_a_diagram_refers_only_to_itself() -> None:
    for path in DIAGRAMS:
        text = path.read_text()
        ids = {element.get("id") for element in root_of(path).iter()}

        assert set(re.findall(r"url\(#([^)]*)\)", text)) <= ids
        assert not re.search(r"(href|src)=|@import|url\([^#]", text)


def test_all_diagrams_carry_the_same_style() -> None:
    # A <style> set into the deck holds for the whole page, so there must be
    # one, and it may only speak of diagrams.
    styles = {style_of(path) for path in DIAGRAMS}
    assert len(styles) == 1
    [style] = styles
    for selectors in re.findall(r"^\s*([^{}@]+)\{", style, re.MULTILINE):
        for selector in selectors.split(","):
            assert selector.strip().startswith((".diagram", "svg:root"))


def test_the_style_has_a_word_for_all_that_is_drawn_and_no_other() -> None:
    known = set(re.findall(r"\.([a-z]+)\b", style_of(DIAGRAMS[0])))
    drawn = {
        name
        for path in DIAGRAMS
        for element in root_of(path).iter()
        for name in (element.get("class") or "").split()
    }
    assert known == drawn - {"fragment"}


def test_every_colour_is_a_variable_of_the_theme() -> None:
    for path in DIAGRAMS:
        text = re.sub(r"url\(#[^)]*\)", "", path.read_text())
        themed = r"var\((--[a-z0-9-]+), #[0-9a-f]{6}\)"
        defined = r"(--[a-z0-9-]+): #[0-9a-f]{6};"

        assert set(re.findall(themed, text) + re.findall(defined, text)) <= (
            VARIABLES
        )
        rest = re.sub(themed, "", re.sub(defined, "", text))
        assert not re.search(r"#[0-9a-fA-F]{3,8}\b", rest)
        for value in re.findall(r"(?:fill|stroke)(?:: ?|=\")([^;\"]+)", rest):
            assert value.strip() in {"", "none", "context-stroke"}


def test_the_deck_and_a_picture_on_its_own_have_the_same_colours() -> None:
    theme = re.findall(
        r"(--[a-z0-9-]+): light-dark\((#\w+), (#\w+)\);", THEME.read_text()
    )
    style = style_of(DIAGRAMS[0])
    alone = re.findall(r"var\((--[a-z0-9-]+), (#[0-9a-f]{6})\)", style)
    alone_dark = re.findall(r"(--[a-z0-9-]+): (#[0-9a-f]{6});", style)

    assert theme
    assert set(alone) == {(name, light) for name, light, _ in theme}
    assert set(alone_dark) == {(name, dark) for name, _, dark in theme}


def test_markdown_takes_the_diagram_as_one_block() -> None:
    for path in DIAGRAMS:
        # CommonMark ends an HTML block at a blank line, and starts one only
        # where the whole opening tag stands on its first line.
        lines = path.read_text().splitlines()

        assert lines[0].startswith("<svg ") and lines[0].endswith(">")
        assert all(line.strip() for line in lines)


def test_a_step_is_a_plain_group() -> None:
    for path in DIAGRAMS:
        # reveal.js sets CSS properties of a fragment; a transform of the
        # drawing on the same element would be lost.
        for element in root_of(path).iter():
            assert element.get("transform") is None
            classes = (element.get("class") or "").split()
            if "fragment" in classes:
                assert element.tag == f"{SVG}g"
                # One that fades out would still be there in print.
                assert classes == ["fragment"]
                assert len(element), "an empty step is a click without effect"


# ---------------------------------------------------------------------------
# what the eye sees
# ---------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2, definitions)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    bright, dim = sorted(map(luminance, (one, other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_what_they_are_written_on(scheme: str) -> None:
    style = style_of(DIAGRAMS[0])
    pattern = {
        "light": r"var\((--[a-z0-9-]+), (#[0-9a-f]{6})\)",
        "dark": r"(--[a-z0-9-]+): (#[0-9a-f]{6});",
    }[scheme]
    colours: dict[str, str] = dict(re.findall(pattern, style))

    on_paper = ["ink", "muted", "accent", "accent-2", "ok", "warn", "bad"]
    for name in on_paper:
        assert contrast(colours[f"--{name}"], colours["--paper"]) >= 4.5
    for name in ("ink", "muted"):
        assert contrast(colours[f"--{name}"], colours["--box"]) >= 4.5
    # 3 is what WCAG asks of lines that carry meaning.
    for name in ("wire", "box-line"):
        assert contrast(colours[f"--{name}"], colours["--paper"]) >= 3


# Everything drawn, in canvas units. A text counts with its full line box;
# a wire is sampled, because the box around a diagonal says nothing.
WIDEST_FACE = "Verdana, 'DejaVu Sans', sans-serif"
MEASURE = """face => {
  document.documentElement.style.setProperty('--sans', face);
  const box = element => {
    const b = element.getBBox();
    return {left: b.x, top: b.y, right: b.x + b.width,
            bottom: b.y + b.height};
  };
  const all = selector => [...document.querySelectorAll(selector)];
  const order = new Map(all('*').map((element, at) => [element, at]));
  return {
    texts: all('text').map(text => {
      const group = text.parentElement;
      const home = group.matches('.node, .socket, .message, .slot')
        ? group : null;
      return {...box(text), says: text.textContent,
              size: parseFloat(getComputedStyle(text).fontSize),
              home: home && box(home.querySelector('rect')),
              kind: home ? home.classList[0] : 'free',
              painted: order.get(text)};
    }),
    boxes: all('.node, .socket, .message').map(group => ({
      ...box(group.querySelector('rect')), kind: group.classList[0],
      says: group.textContent.trim()})),
    wires: all('.wire').map(wire => {
      const length = wire.getTotalLength();
      const points = [];
      for (let at = 0; at <= length; at += 4) {
        const p = wire.getPointAtLength(at);
        points.push([p.x, p.y]);
      }
      const heads = ['start', 'end'].filter(
        end => wire.getAttribute(`marker-${end}`)).map(end => {
          const p = wire.getPointAtLength(
            end === 'start' ? HEAD : length - HEAD);
          return {left: p.x, right: p.x, top: p.y, bottom: p.y};
        });
      return {points, heads, painted: order.get(wire)};
    }),
  };
}""".replace("HEAD", "14")  # how far the head of an arrow reaches back

Box = dict[str, Any]
Drawn = dict[str, list[Box]]


def overlap(one: Box, other: Box, room: float = 0) -> bool:
    return bool(
        one["left"] < other["right"] + room
        and other["left"] < one["right"] + room
        and one["top"] < other["bottom"] + room
        and other["top"] < one["bottom"] + room
    )


def inside(inner: Box, outer: Box, room: float = 0) -> bool:
    return bool(
        inner["left"] >= outer["left"] + room
        and inner["right"] <= outer["right"] - room
        and inner["top"] >= outer["top"]
        and inner["bottom"] <= outer["bottom"]
    )


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": CANVAS_WIDTH, "height": 520})
    yield page
    page.close()


@pytest.fixture(scope="module")
def measured(page: Page) -> dict[Path, Drawn]:
    """Each diagram as drawn in the widest typeface that a reader may have."""
    drawings = {}
    for path in DIAGRAMS:
        page.goto(path.as_uri())
        drawings[path] = cast("Drawn", page.evaluate(MEASURE, WIDEST_FACE))
    return drawings


def test_every_word_is_legible_from_the_back_row(
    measured: dict[Path, Drawn],
) -> None:
    for drawn in measured.values():
        assert drawn["texts"]
        for text in drawn["texts"]:
            assert text["size"] >= LEAST_UNITS, text["says"]
            pixels = text["size"] * NARROWEST_PX / CANVAS_WIDTH
            assert pixels >= LEGIBLE_PX, text["says"]


def test_every_label_lies_inside_its_box(measured: dict[Path, Drawn]) -> None:
    for drawn in measured.values():
        canvas = {"left": 0, "top": 0, "right": CANVAS_WIDTH, "bottom": 520}
        for text in drawn["texts"]:
            assert inside(text, text["home"] or canvas, room=6), text["says"]


def test_no_word_touches_another(measured: dict[Path, Drawn]) -> None:
    for drawn in measured.values():
        for one, other in combinations(drawn["texts"], 2):
            assert not overlap(one, other), f"{one['says']} / {other['says']}"
        for text in drawn["texts"]:
            for box in drawn["boxes"]:
                if text["kind"] == "free" and not inside(text, box):
                    assert not overlap(text, box), f"{text['says']}, {box}"


@pytest.mark.slow
def test_no_wire_runs_through_a_word(measured: dict[Path, Drawn]) -> None:
    for drawn in measured.values():
        for text in drawn["texts"]:
            for wire in drawn["wires"]:
                hidden = text["home"] and wire["painted"] < text["painted"]
                if hidden:  # the box of the label is painted over the wire
                    continue
                for x, y in wire["points"]:
                    point = {"left": x, "right": x, "top": y, "bottom": y}
                    assert not overlap(point, text, room=2), text["says"]


def test_boxes_lie_side_by_side_or_one_within_another(
    measured: dict[Path, Drawn],
) -> None:
    for drawn in measured.values():
        for one, other in combinations(drawn["boxes"], 2):
            if {one["kind"], other["kind"]} == {"node", "socket"}:
                continue  # a socket sits on the edge of its owner
            assert (
                not overlap(one, other)
                or inside(one, other)
                or inside(other, one)
            ), f"{one['says']} / {other['says']}"


@pytest.mark.slow
def test_no_box_hides_the_head_of_an_arrow(
    measured: dict[Path, Drawn],
) -> None:
    for drawn in measured.values():
        for wire in drawn["wires"]:
            for head in wire["heads"]:
                for box in drawn["boxes"]:
                    hides = box["kind"] == "message" and overlap(head, box)
                    assert not hides, f"{box['says']} / {head}"
