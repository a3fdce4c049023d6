"""Checks of the deck: tests exist, times add up, each slide has its notes."""

import subprocess
import sys
from pathlib import Path

from slides import DECK, ROOT, SPOKEN_S
from slides.deck import Slide, read
from slides.render import section

COLLECT_S = 60


def faults(deck: Path = DECK) -> list[str]:
    """Return what is wrong with the deck, a sentence each; none is good.

    Raises `DeckError` where the deck cannot even be put together.
    """
    slides = read(deck)
    for slide in slides:
        section(slide, 0, set())
    wanted = {claim.node for slide in slides for claim in slide.claims}
    missing = wanted - tests_in(sorted({n.split("::")[0] for n in wanted}))
    return lacks(slides) + [f"There is no test {n}." for n in sorted(missing)]


def lacks(slides: list[Slide]) -> list[str]:
    """Return what slides fail to say: notes, proofs, times that fit."""
    found = [
        f"deck.md:{slide.line}: {fault}"
        for slide in slides
        for fault in _faults(slide)
    ]
    total = sum(slide.seconds for slide in slides)
    if total > SPOKEN_S:
        found.append(f"The talk takes {total} s and has {SPOKEN_S} s.")
    return found


def tests_in(paths: list[str]) -> set[str]:
    """Ask pytest which tests `paths` hold; parameters are left out."""
    if not paths:
        return set()
    listing = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *paths],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=COLLECT_S,
    ).stdout
    return {line.split("[")[0] for line in listing.splitlines()}


def _faults(slide: Slide) -> list[str]:
    found = []
    if not slide.notes:
        found.append("the speaker has no notes.")
    if slide.claims and "unproved" in slide.settings:
        found.append("a proved slide still says that it is not.")
    if not slide.claims and not slide.settings.get("unproved"):
        found.append("no test proves it and no reason says why.")
    return found
