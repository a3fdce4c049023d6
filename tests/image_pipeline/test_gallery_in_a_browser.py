"""The gallery as a person uses it: keys, fingers, a phone, no script."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, expect

from image_pipeline.cli.gallery import PAGE, contact_sheet
from image_pipeline.demo.photographs import photograph
from image_pipeline.outcome import FileRecord, Outcome
from tests.slides.conftest import browser as browser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SIZES = {
    "one.jpg": (300, 200),
    "two.jpg": (200, 300),
    "3 & 4.jpg": (400, 200),
}
NAMES = sorted(SIZES)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a gallery of three pictures and one that failed."""
    folder = tmp_path_factory.mktemp("gallery")
    source, target = folder / "Norway", folder / "thumbnails"
    source.mkdir()
    target.mkdir()
    records = [FileRecord(b"bad.jpg", Outcome.FAILED, "truncated")]
    for name, (width, height) in SIZES.items():
        data = photograph(1, width, height)
        for place in (source, target):
            (place / name).write_bytes(data)
        records.append(
            FileRecord(
                name.encode(),
                Outcome.MADE,
                outputs=(name.encode(),),
                width=width,
                height=height,
            )
        )
    page = target / PAGE.decode()
    page.write_bytes(contact_sheet(records, source, target))
    return page.as_uri()


@pytest.fixture
def page(browser: Browser, gallery: str) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(gallery)
    yield page
    page.context.close()


def test_a_click_opens_a_picture_and_keys_turn_and_close_it(
    page: Page,
) -> None:
    box = page.locator("dialog")
    page.locator("section li > a").first.click()
    expect(box).to_contain_text(f"{NAMES[0]} (1 of 3)")
    page.keyboard.press("ArrowRight")
    expect(box).to_contain_text(f"{NAMES[1]} (2 of 3)")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(box).to_contain_text(f"{NAMES[2]} (3 of 3)")
    original = box.locator("a").get_attribute("href") or ""
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()

    assert original.endswith(f"/Norway/{NAMES[2]}")
    focused = page.evaluate("document.activeElement.firstChild.alt")
    assert focused == NAMES[2]


def test_buttons_do_what_the_keys_do(page: Page) -> None:
    box = page.locator("dialog")
    page.locator("section li > a").first.click()
    box.get_by_label("Next picture").click()
    expect(box).to_contain_text("(2 of 3)")
    box.get_by_label("Close").click()
    expect(box).to_be_hidden()


def test_a_swipe_turns_to_the_next_picture(
    browser: Browser, gallery: str
) -> None:
    page = browser.new_page(
        viewport={"width": 390, "height": 844}, has_touch=True
    )
    page.goto(gallery)
    page.locator("section li > a").first.tap()
    finger = page.context.new_cdp_session(page)
    for kind, x in (
        ("touchStart", 300),
        ("touchMove", 200),
        ("touchMove", 100),
        ("touchEnd", None),
    ):
        points = [] if x is None else [{"x": x, "y": 400}]
        finger.send(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points}
        )
    expect(page.locator("dialog")).to_contain_text("(2 of 3)")
    page.context.close()


def test_rows_are_of_equal_height_and_a_phone_has_two_columns(
    browser: Browser, gallery: str
) -> None:
    boxes = {}
    for width in (1280, 390):
        page = browser.new_page(viewport={"width": width, "height": 844})
        page.goto(gallery)
        links = page.locator("section li > a").all()
        boxes[width] = [link.bounding_box() for link in links]
        across = page.evaluate("document.documentElement.scrollWidth")
        page.context.close()
        assert across <= width

    wide = [box for box in boxes[1280] if box]
    assert len({round(box["height"]) for box in wide}) == 1
    assert len({box["y"] for box in wide}) == 1
    assert len({round(box["width"]) for box in wide}) == 3
    assert len({box["x"] for box in boxes[390] if box}) == 2


def test_without_script_a_picture_is_a_link(
    browser: Browser, gallery: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(gallery)
    page.locator("section li > a").first.click()
    page.wait_for_url("**/3%20%26%204.jpg")
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_of(
    browser: Browser, gallery: str, width: int, scheme: Any
) -> None:
    page = browser.new_page(
        viewport={"width": width, "height": 844}, color_scheme=scheme
    )
    page.goto(gallery)
    found = []
    for opens in (False, True):
        if opens:
            page.locator("section li > a").first.click()
        page.evaluate(AXE_SCRIPT)
        found += page.evaluate(
            "async rules => (await axe.run(rules)).violations",
            {"resultTypes": ["violations"]},
        )
    page.context.close()

    assert [
        f"{each['id']}: {node['html'][:200]}"
        for each in found
        for node in each["nodes"]
    ] == []
