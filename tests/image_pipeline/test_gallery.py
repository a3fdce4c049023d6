"""The contact sheet: complete, self-contained, safe with any name."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from image_pipeline.cli import gallery
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


def contact_sheet(records: list[FileRecord]) -> bytes:
    return gallery.contact_sheet(records, Path("in/Norway"), Path("out"))


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
        "li", "a", "img", "small", "main", "script",
    }  # fmt: skip
    thumbnail, original = page.all("a", "href")
    assert page.all("img", "src") == [thumbnail]
    for link, folder in ((thumbnail, "./"), (original, "./../in/Norway/")):
        assert link.startswith(folder)
        assert unquote_to_bytes(link.removeprefix(folder)) == name
    for tag, attributes in page.tags:
        assert not {"onerror", "onclick", "onload"} & attributes.keys(), tag


def test_the_page_loads_nothing_but_the_thumbnails() -> None:
    sheet = contact_sheet(made(b"a.jpg"))
    page = Page(sheet)
    assert not {"link", "iframe"} & {tag for tag, _ in page.tags}
    assert page.all("script", "src") == [""]
    assert b"url(" not in sheet
    assert b"://" not in sheet


def test_with_several_sizes_the_browser_chooses_and_the_last_is_opened() -> (
    None
):
    record = FileRecord(
        b"a,b.jpg",
        Outcome.MADE,
        outputs=(b"256x256/a,b.jpg", b"1600x1600/a,b.jpg"),
        width=3000,
        height=2000,
    )
    page = Page(contact_sheet([record]))
    assert page.all("img", "src") == ["./256x256/a%2Cb.jpg"]
    assert page.all("img", "srcset") == [
        "./256x256/a%2Cb.jpg 256w, ./1600x1600/a%2Cb.jpg 1600w"
    ]
    assert page.all("a", "href")[0] == "./1600x1600/a%2Cb.jpg"


def test_the_folder_gives_the_page_its_name() -> None:
    texts = Page(contact_sheet(made(b"a.jpg"))).texts
    assert texts.count("Norway") == 3  # title, heading, its own pictures
    assert "." not in texts


def test_what_failed_is_named_with_its_reason() -> None:
    failed = FileRecord(b"b/<bad>.jpg", Outcome.FAILED, "truncated & torn")
    texts = Page(contact_sheet([*made(b"a.jpg"), failed])).texts
    assert "1 failed" in texts
    assert "b/<bad>.jpg: truncated & torn" in texts


@pytest.mark.slow
def test_a_folder_of_20_000_pictures_is_laid_out_in_parts() -> None:
    names = [b"%05d.jpg" % number for number in range(20_000)]
    page = contact_sheet(made(*names))
    assert page.count(b'src="./') == 20_000
    assert page.count(b"<ul>") == 100
    assert page.count(b"<h2>") == 1


def test_an_empty_batch_still_has_a_page() -> None:
    assert "0 images" in Page(contact_sheet([])).texts
