"""The room takes the repository home: its address on the first and the last
slide, where it is known, and a sentence where it is not."""

import subprocess
from pathlib import Path

import pytest
import segno
from click.testing import CliRunner
from playwright.sync_api import Browser

from slides import DeckError
from slides.__main__ import main
from slides.address import look_up, public
from slides.site import build
from tests.slides.test_in_a_browser import LOOK, opened

ADDRESS = "https://git.example.org/somebody-with-a-name/beyond-http"
DARK = """svg => {
  const [, , wide] = svg.getAttribute('viewBox').split(' ').map(Number);
  const [path] = [...svg.querySelectorAll('path')].slice(-1);
  const at = new DOMPoint();
  const dark = (_, i) => {
    at.x = i % wide + 0.5, at.y = Math.floor(i / wide) + 0.5;
    return Number(path.isPointInStroke(at));
  };
  return [...Array(wide * wide)].map(dark);
}"""
# What stands where the code stands.
BELOW = """() => {
  const slide = Reveal.getCurrentSlide().querySelector('.slide');
  const code = slide.querySelector('.address').getBoundingClientRect();
  return [...slide.querySelectorAll('h1, h2, h3, .body *, .page')].filter(
    (element) => {
      const words = document.createRange();
      words.selectNodeContents(element);
      const box = (element.matches('pre') ? element : words)
        .getBoundingClientRect();
      return box.left < code.right && box.right > code.left &&
        box.top < code.bottom && box.bottom > code.top;
    }).map((element) => element.outerHTML);
}"""


@pytest.mark.parametrize(
    ("remote", "shown"),
    [
        (ADDRESS, ADDRESS),
        (f"{ADDRESS}.git", ADDRESS),
        (
            "https://user:secret@git.example.org/a/b.git",
            "git.example.org/a/b",
        ),
        ("git@git.example.org:a/b.git", "git.example.org/a/b"),
        ("ssh://git@git.example.org:2222/a/b", "git.example.org/a/b"),
        ("/srv/git/b.git", ""),
        ("../b", ""),
        ("file:///srv/git/b.git", ""),
        ("http://git.example.org/a/b", ""),
        ("https://localhost/a/b", ""),
        ("https://build/a/b", ""),
        ("https://192.0.2.7/a/b", ""),
        ("ssh://git@[2001:db8::7]/a/b", ""),
        ("git@build:a/b.git", ""),
        ("https://git.example.org:port/a", ""),
        ("", ""),
    ],
)
def test_an_address_is_shown_when_anybody_can_reach_it(
    remote: str, shown: str
) -> None:
    assert public(remote).removeprefix("https://") == shown.removeprefix(
        "https://"
    )


def test_the_project_is_asked_before_git(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text("[project]\n")
    assert look_up(tmp_path) == ""

    origin = ("remote", "add", "origin", "git@git.example.org:a/b.git")
    for words in (("init", "-q"), origin):
        subprocess.run(["git", "-C", tmp_path, *words], check=True)
    assert look_up(tmp_path) == "https://git.example.org/a/b"

    project.write_text(f'[project.urls]\nRepository = "{ADDRESS}"\n')
    assert look_up(tmp_path) == ADDRESS

    project.write_text('[project.urls]\nRepository = "/srv/git"\n')
    with pytest.raises(DeckError, match="public host"):
        look_up(tmp_path)


@pytest.mark.slow
def test_without_an_address_the_deck_is_whole_and_says_how_to_give_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slides.address.look_up", lambda: "")
    done = CliRunner().invoke(main, ["build", "--out", str(tmp_path)])

    assert done.exit_code == 0
    assert "[project.urls]" in done.stderr
    assert 'class="address"' not in (tmp_path / "index.html").read_text()


@pytest.mark.slow
def test_the_first_and_the_last_slide_show_the_address_and_its_code(
    browser: Browser, tmp_path: Path
) -> None:
    build(tmp_path, address=ADDRESS)
    matrix = segno.make_qr(ADDRESS, error="m").matrix_iter(border=4)
    wanted = [int(dark) for row in matrix for dark in row]
    with opened(browser, tmp_path) as room:
        shown = room.page.locator(".address").all()
        assert len(shown) == 2
        for each in shown:
            slide = each.evaluate("code => code.closest('section').id")
            room.page.evaluate(
                "id => Reveal.slide(Reveal.getSlides().findIndex("
                "slide => slide.id === id))",
                slide,
            )
            assert each.inner_text().strip() == ADDRESS[8:]
            assert each.locator("svg").evaluate(DARK) == wanted
            assert room.page.evaluate(LOOK) == []
            assert room.page.evaluate(BELOW) == []
