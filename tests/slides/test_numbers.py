"""Numbers on slides are those that bench wrote, and no others."""

import json
import re
from pathlib import Path

import pytest

from slides import BENCH, DECK, DeckError, numbers
from slides.deck import read
from slides.numbers import (
    CHARTS,
    LINK,
    README,
    chart,
    measured,
    readme_tables,
    text,
    written,
)

TABLE = {
    "machine": {"cores": 2},
    "versions": {"libzmq": "4.3.5"},
    "rows": [
        {"name": "ours", "median_s": 0.00013, "ratio": 1.0},
        {"name": "A & B", "median_s": 0.00026, "ratio": 2.0},
        {"name": "a crash", "median_s": 0.5},
    ],
}


def test_the_charts_are_drawn_from_the_measurements() -> None:
    bench = json.loads(BENCH.read_text())

    assert {path.stem for path in CHARTS.glob("*.svg")} == set(bench)
    for name, table in bench.items():
        drawn = (CHARTS / f"{name}.svg").read_text()
        assert drawn == chart(name, table), (
            f"{name}: `python -m slides chart`"
        )


def test_the_readme_shows_the_measurements_each_with_its_day() -> None:
    tables = readme_tables()

    assert tables in README.read_text(encoding="utf-8")
    assert tables.count("Measured on ") == len(
        json.loads(BENCH.read_text(encoding="utf-8"))
    )


def test_a_chart_says_who_what_and_on_which_machine() -> None:
    drawn = chart("x", TABLE)

    assert "A &amp; B" in drawn and "&#215;2<" in drawn
    assert "130 µs" in drawn and "260 µs" in drawn
    assert "2 cores" in drawn and "libzmq 4.3.5" in drawn
    assert "a crash" not in drawn  # it is no alternative to the others


def test_a_bar_is_as_long_as_its_time() -> None:
    ours, other = map(
        int,
        re.findall(r'<rect x="\d+" y="\d+" width="(\d+)"', chart("x", TABLE)),
    )

    assert other == 2 * ours


def test_no_measured_time_is_typed_into_a_slide() -> None:
    typed = re.compile(r"\d[\d.,]* ?(µs|us|ms|MB/s|times faster)\b")
    for slide in read(DECK):
        for token in slide.body:
            said = LINK.sub("", token.content)
            assert not typed.search(said), slide.titles


def test_the_text_of_the_deck_has_the_numbers_that_were_measured() -> None:
    deck = DECK.read_text(encoding="utf-8")

    assert len(LINK.findall(deck)) > 4
    assert written(deck) == deck, "`python -m slides chart` writes them"


def test_a_number_that_was_not_measured_stops_the_build() -> None:
    with pytest.raises(DeckError, match="nothing at pingpong/no such row"):
        measured("pingpong/no such row/median_s")
    with pytest.raises(DeckError, match="no unit"):
        text("pingpong/versions/libzmq", "furlongs")


def test_measurements_that_are_only_half_written_stop_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = tmp_path / "bench.json"
    half.write_text('{"pingpong": {')
    monkeypatch.setattr(numbers, "BENCH", half)

    with pytest.raises(DeckError, match="is no JSON"):
        measured("pingpong/versions/libzmq")


def test_a_number_is_written_for_people() -> None:
    assert text("pingpong/versions/libzmq", "") == "4.3.5"
    assert re.fullmatch(
        r"[\d,]+ µs", text("pingpong/REQ\u002fREP, tcp/median_s", "us")
    )
