"""The contact sheet: complete, self-contained, safe with any name."""

from html.parser import HTMLParser
from urllib.parse import unquote_to_bytes

import pytest

from image_pipeline.cli.gallery import contact_sheet
from image_pipeline.outcome import FileRecord, Outcome


class Page(HTMLParser):
    """What a browser would find on the page."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page.decode())

    def handle_starttag(
        self, tag: str, attrs: list[tuple[str, str | None]]
    ) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())

    def all(self, tag: str, attribute: str) -> list[str]:
        return [
            value or ""
            for name, attributes in self.tags
            if name == tag
            for value in (attributes.get(attribute),)
        ]


def made(*names: bytes) -> list[FileRecord]:
    return [
        FileRecord(name, Outcome.MADE, outputs=(name,), width=4, height=3)
        for name in names
    ]


def test_each_thumbnail_is_shown_once_in_order_under_its_folder() -> None:
    page = Page(
        contact_sheet(made(b"z.jpg", b"b/2.jpg", b"a.jpg", b"b/1.jpg"))
    )
    assert page.all("img", "src") == [
        "./a.jpg",
        "./z.jpg",
        "./b/1.jpg",
        "./b/2.jpg",
    ]
    assert page.all("img", "alt") == ["a.jpg", "z.jpg", "1.jpg", "2.jpg"]
    assert "b" in page.texts
    assert "4 images" in page.texts


def test_only_what_has_a_thumbnail_is_shown() -> None:
    records = [
        *made(b"made.jpg"),
        FileRecord(b"old.jpg", Outcome.CURRENT, outputs=(b"old.jpg",)),
        FileRecord(b"bad.jpg", Outcome.FAILED, "damaged"),
        FileRecord(b"notes.txt", Outcome.SKIPPED),
        FileRecord(b"late.jpg", Outcome.UNFINISHED),
    ]
    page = Page(contact_sheet(records))
    assert page.all("img", "src") == ["./made.jpg", "./old.jpg"]


@pytest.mark.parametrize(
    "name",
    [
        b"<script>alert(1)</script>.jpg",
        b'" onerror="alert(1).jpg',
        b"javascript:alert(1).jpg",
        b"a&amp;b #?%41.jpg",
        b"a\nb.jpg",
        b"caf\xe9.jpg",
        "日本 ü.jpg".encode(),
        b"//evil.example/a.jpg",
    ],
)
def test_hostile_names_stay_names(name: bytes) -> None:
    page = Page(contact_sheet(made(name)))
    assert {tag for tag, _ in page.tags} <= {
        "html", "meta", "title", "style", "h1", "h2", "p", "section", "ul",
        "li", "a", "img", "small",
    }  # fmt: skip
    for link in (*page.all("img", "src"), *page.all("a", "href")):
        assert link.startswith("./")
        assert unquote_to_bytes(link.removeprefix("./")) == name
    for tag, attributes in page.tags:
        assert not {"onerror", "onclick", "onload"} & attributes.keys(), tag


def test_the_page_loads_nothing_but_the_thumbnails() -> None:
    page = Page(contact_sheet(made(b"a.jpg")))
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert b"url(" not in contact_sheet(made(b"a.jpg"))
    assert b"://" not in contact_sheet(made(b"a.jpg"))


def test_with_several_sizes_the_first_is_shown_and_the_last_linked() -> None:
    record = FileRecord(
        b"a.jpg", Outcome.MADE, outputs=(b"64x64/a.jpg", b"9x9/a.jpg")
    )
    page = Page(contact_sheet([record]))
    assert page.all("img", "src") == ["./64x64/a.jpg"]
    assert page.all("a", "href") == ["./9x9/a.jpg"]


def test_an_empty_batch_still_has_a_page() -> None:
    assert "0 images" in Page(contact_sheet([])).texts
