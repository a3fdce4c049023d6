"""Write the deck as one folder that works from file:// with no network."""

import hashlib
import html
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from string import Template

from slides import DECK, HERE, ROOT, TALK_S, DeckError
from slides.address import look_up
from slides.code import coloured
from slides.deck import Slide
from slides.deck import read as read_deck
from slides.render import section, source_page

# What the registry's packages carry and the deck uses, with the sha256 of
# what was reviewed: a package that changes under us stops the build.
ASSETS = {
    "pyreveal/revealjs/dist/reveal.js": (
        "3fb84c30d2e610dd598843d75a123ef2c4dbc588847cda86cd8c7a61e18ddb6b"
    ),
    "pyreveal/revealjs/dist/reveal.css": (
        "64e6203ee2048665c9f49c368f345fb3d7f936c404934162c70369a7682f388f"
    ),
    "pyreveal/revealjs/dist/plugin/notes.js": (
        "946159680c70354c665dbf4f3c9023a737d8b14b48c6c9af452553717a046729"
    ),
    "pyreveal/revealjs/LICENSE": (
        "b2883e4b610bfa1b4d8fff84c4d4b825cc7d553cbd9fec4777c04068a2859dc0"
    ),
    "fontpkg_ibm_plex_sans/files/IBMPlexSans[wdth,wght].ttf": (
        "3b031aa4216174205bd8471f88a49b91f093169e9e87bd5262242bc5967fe2e3"
    ),
    "fontpkg_ibm_plex_sans/LICENSE": (
        "7e6b2818edbd8f6a01ae80641cc8f16a51080d08fb4e532be3a0b6f74adb07da"
    ),
    "fontpkg_ibm_plex_mono/LICENSE": (
        "7e6b2818edbd8f6a01ae80641cc8f16a51080d08fb4e532be3a0b6f74adb07da"
    ),
    "fontpkg_ibm_plex_mono/files/IBMPlexMono-Regular.ttf": (
        "6a3412f058c7d8dfd9170c41e85ade48e5156ecb89356110ca57a0a27734af46"
    ),
    "fontpkg_ibm_plex_mono/files/IBMPlexMono-SemiBold.ttf": (
        "d3c38e55c78f5b0f28009fddba4834ec503278936a5986032424c9bd2d23aa46"
    ),
}

TEMPLATES = ("index.html", "print.html", "read.html")
STYLES = ("theme.css", "deck.css", "read.css")
SHOWS = (
    "live/live.css",
    *(f"live/{path.name}" for path in (HERE / "live").glob("*.js")),
)
# On paper a link into the folder of the build would name a path of ours.
LOCAL = re.compile(r'<a href="source/[^>]*>')


def build(
    out: Path,
    *,
    deck: Path = DECK,
    version: str = "",
    address: str | None = None,
) -> set[Path]:
    """Write the deck into `out` and return the files that it was made of.

    `version` makes the page ask its server for a newer one; `address` is the
    repository's, looked up unless given. Raises `DeckError` when the deck
    points at something that is not there.
    """
    if address is None:
        address = look_up()
    slides = read_deck(deck)
    read = {deck, *(HERE / name for name in (*TEMPLATES, *STYLES, *SHOWS))}
    sections = "".join(
        section(slide, number, read, address)
        for number, slide in enumerate(slides, 1)
    )
    shown = _shown(slides, read)
    read |= {ROOT / "pyproject.toml", *(ROOT / path for path in shown)}
    out.mkdir(parents=True, exist_ok=True)
    pictures = sections.replace(
        '<div class="slide', '<div class="picture"><div class="slide'
    ).replace('<aside class="notes">', '</div><aside class="notes">')
    for name, template, shows in (
        ("index.html", "index.html", sections),
        ("print.html", "print.html", LOCAL.sub("<a>", sections)),
        ("read.html", "read.html", pictures),
        ("handout.html", "read.html", LOCAL.sub("<a>", pictures)),
    ):
        page = Template((HERE / template).read_text(encoding="utf-8"))
        made = page.substitute(
            sections=shows, seconds=TALK_S, version=version
        )
        (out / name).write_text(made, encoding="utf-8")
    for name in (*STYLES, *SHOWS):
        shutil.copyfile(HERE / name, out / Path(name).name)
    for name, digest in ASSETS.items():
        shutil.copyfile(asset(name, digest), out / _carried(name))
    _write_sources(out, shown)
    return read


def asset(name: str, digest: str) -> Path:
    """Find a file that a package carries, and check that it is the one."""
    package, _, inner = name.partition("/")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise DeckError(
            f"{package} is not installed: pip install --editable '.[slides]'"
        )
    path = Path(spec.origin).parent / inner
    if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        raise DeckError(f"{path} is not the file that was reviewed.")
    return path


def _carried(name: str) -> str:
    package, *_, last = name.split("/")
    if last == "LICENSE":
        return f"LICENSE-{package}"
    return last.replace("[wdth,wght]", "")


def _shown(slides: list[Slide], read: set[Path]) -> list[str]:
    """Name the files of ours that the deck quotes or calls as witnesses."""
    quoted = {
        path.relative_to(ROOT).as_posix()
        for path in read
        if path.suffix in (".py", ".proto", ".c", ".toml")
    }
    return sorted(
        quoted | {claim.path for slide in slides for claim in slide.claims}
    )


def _write_sources(out: Path, paths: list[str]) -> None:
    (out / "source").mkdir(exist_ok=True)
    page = Template((HERE / "source.html").read_text(encoding="utf-8"))
    for path in paths:
        code = (ROOT / path).read_text(encoding="utf-8")
        rows = "".join(
            f'<span id="L{number}">{line}\n</span>'
            for number, line in enumerate(coloured(Path(path), code), 1)
        )
        (out / source_page(path)).write_text(
            page.substitute(title=html.escape(path), rows=rows),
            encoding="utf-8",
        )
