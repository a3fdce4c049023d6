"""Where thumbnails go: no two in one place, and none outside."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_pipeline.imaging.formats import is_image_name, sniff
from image_pipeline.imaging.recipe import Box, Format, Recipe
from image_pipeline.storage.names import (
    LONGEST_NAME,
    BadName,
    Folding,
    check_name,
    collisions,
    output_names,
    shown,
)

JPEG = Recipe()
WEBP = Recipe(format=Format.WEBP)
TWO_SIZES = Recipe(sizes=(Box(256, 256), Box(320, 200)))

names = st.binary(min_size=1, max_size=255).filter(
    lambda name: not set(name) & set(b"/\0") and name not in (b".", b"..")
)


@pytest.mark.parametrize(
    ("source", "recipe", "outputs"),
    [
        (b"a.jpg", JPEG, [b"a.jpg"]),
        (b"x/y/a.JPG", JPEG, [b"x/y/a.JPG"]),
        (b"a.jpeg", JPEG, [b"a.jpeg"]),
        (b"a.png", JPEG, [b"a.png.jpg"]),
        (b"a", JPEG, [b"a.jpg"]),
        (b"a.jpg", WEBP, [b"a.jpg.webp"]),
        (b"caf\xe9.gif", WEBP, [b"caf\xe9.gif.webp"]),
        (
            b"x/a.png",
            TWO_SIZES,
            [b"256x256/x/a.png.jpg", b"320x200/x/a.png.jpg"],
        ),
    ],
)
def test_the_tree_and_the_name_are_kept(
    source: bytes, recipe: Recipe, outputs: list[bytes]
) -> None:
    assert list(output_names(source, recipe)) == outputs


@given(st.lists(names, min_size=1, max_size=3), st.sampled_from(Format))
def test_every_name_that_can_exist_gets_an_output_that_can_exist(
    parts: list[bytes], kind: Format
) -> None:
    recipe = Recipe(format=kind)
    (output,) = output_names(b"/".join(parts), recipe)
    check_name(output)
    last = output.split(b"/")[-1]
    assert len(last) <= LONGEST_NAME
    assert last.lower().endswith(tuple(s.encode() for s in kind.suffixes))
    assert (output,) == output_names(output, recipe)  # and keeps it


def test_long_names_are_shortened_apart_and_between_letters() -> None:
    one, other = ("ü".encode() * 125 + end for end in (b"1.png", b"2.png"))
    outputs = [output_names(name, JPEG)[0] for name in (one, other)]
    assert len(set(outputs)) == 2
    for output in outputs:
        assert len(output) <= LONGEST_NAME
        output.decode()


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"..",
        b".",
        b"/etc/passwd",
        b"../a.jpg",
        b"a/../../b.jpg",
        b"a//b.jpg",
        b"a/",
        b"a\0.jpg",
        b"y" * 256,
    ],
)
def test_a_name_that_leaves_its_folder_is_no_name(name: bytes) -> None:
    with pytest.raises(BadName):
        check_name(name)
    with pytest.raises(BadName):
        output_names(name, JPEG)


# -- collisions -------------------------------------------------------------


def test_neighbours_with_other_suffixes_do_not_meet() -> None:
    assert collisions([b"a.jpg", b"a.png", b"a.gif", b"a"], WEBP) == []


def test_two_sources_for_one_thumbnail_are_found_before_any_work() -> None:
    (one,) = collisions([b"x/a.png", b"x/a.png.jpg", b"x/b.jpg"], JPEG)
    assert str(one) == "x/a.png and x/a.png.jpg would both become x/a.png.jpg"


def test_a_thumbnail_may_not_take_the_name_of_a_folder() -> None:
    (one,) = collisions([b"a", b"a.jpg/b.jpg"], JPEG)
    assert {one.first, one.second} == {b"a", b"a.jpg/b.jpg"}


TWINS = ["A.jpg", "a.jpg"]
ACCENTS = [unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD")]


@pytest.mark.parametrize(
    ("texts", "fold", "count"),
    [
        (TWINS, Folding(), 0),
        (TWINS, Folding(case=True), 1),
        (ACCENTS, Folding(), 0),
        (ACCENTS, Folding(unicode=True), 1),
        (["STRASSE.jpg", "straße.jpg"], Folding(case=True), 1),
        (["ä/1.jpg", "Ä/1.jpg"], Folding(case=True), 1),
    ],
)
def test_twins_collide_only_where_the_file_system_takes_them_for_one(
    texts: list[str], fold: Folding, count: int
) -> None:
    sources = [text.encode() for text in texts]
    assert len(collisions(sources, JPEG, fold)) == count


# -- what a name says -------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"a.jpg", True),
        (b"x/a.HEIC", True),  # not read here, but an image all the same
        (b"a.txt", False),
        (b"jpg", False),
        (b"x.jpg/readme", False),
        (b".jpg", False),
    ],
)
def test_a_suffix_tells_what_a_person_takes_for_an_image(
    name: bytes, expected: bool
) -> None:
    assert is_image_name(name) is expected


@given(st.binary(max_size=64))
def test_sniffing_any_bytes_is_harmless(head: bytes) -> None:
    sniff(head)


@given(st.binary())
def test_a_name_is_shown_on_one_line_without_orders_to_the_terminal(
    name: bytes,
) -> None:
    assert shown(name).isprintable()
    shown(name).encode()


def test_ordinary_names_are_shown_as_they_are() -> None:
    assert shown("Übersicht 100%.jpg".encode()) == "Übersicht 100%.jpg"
    assert shown(b"a\n\xff\x1b[31m") == r"a\n\xff\x1b[31m"
