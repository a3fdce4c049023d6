"""Finding files: each once, in order, whatever lies in the way."""

import codecs
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from image_pipeline.imaging.recipe import Recipe
from image_pipeline.outcome import Outcome, Unreadable
from image_pipeline.storage.names import Folding
from image_pipeline.storage.scan import (
    BadFolders,
    Found,
    check_folders,
    end_clashes,
    exclude,
    listed,
    walk,
)
from image_pipeline.storage.source import Files
from tests.image_pipeline.stage import PHOTO


@pytest.fixture
def touch(tmp_path: Path) -> Callable[..., None]:
    """Make empty files, with their folders, below `tmp_path`."""

    def make(*names: str | bytes) -> None:
        for name in names:
            path = tmp_path / os.fsdecode(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    return make


def test_files_are_found_in_the_same_order_every_time(
    tmp_path: Path, touch: Callable[..., None]
) -> None:
    touch("b/2.jpg", "b/1.jpg", "a.jpg", "c/d/e/f.png", "b/1/x", "B.jpg")
    found = walk(tmp_path)
    assert found.names == [
        b"B.jpg",
        b"a.jpg",
        b"b/1.jpg",
        b"b/1/x",
        b"b/2.jpg",
        b"c/d/e/f.png",
    ]
    assert found.ended == []


def test_names_are_bytes_and_need_not_be_text(
    tmp_path: Path, touch: Callable[..., None]
) -> None:
    names = [
        b"-rf.jpg",
        b"a\nb.jpg",
        b"caf\xe9.jpg",  # Latin-1, no UTF-8
        "caf\u00e9.jpg".encode(),
        "cafe\u0301.jpg".encode(),
        b"%s %d.jpg",
        b"x" * 251 + b".jpg",
    ]
    touch(*names)
    assert walk(tmp_path).names == sorted(names)


def test_hidden_entries_and_the_target_are_left_out(
    tmp_path: Path, touch: Callable[..., None]
) -> None:
    touch(".hidden.jpg", ".cache/a.jpg", "thumbs/a.jpg", "a.jpg", "z/b.jpg")
    assert walk(tmp_path, tmp_path / "thumbs").names == [b"a.jpg", b"z/b.jpg"]
    # Also when the target goes by another name.
    (tmp_path / "alias").symlink_to("thumbs")
    assert walk(tmp_path, tmp_path / "alias").names == [b"a.jpg", b"z/b.jpg"]


def test_loops_of_links_end(
    tmp_path: Path, touch: Callable[..., None]
) -> None:
    touch("a/1.jpg", "b/2.jpg")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "a" / "across").symlink_to("../b")
    (tmp_path / "b" / "across").symlink_to("../a")
    (tmp_path / "self").symlink_to("self")
    found = walk(tmp_path)
    # `self` is no folder: it leads nowhere, and fails when it is read.
    assert found.names == [b"a/1.jpg", b"b/2.jpg", b"self"]


def test_a_linked_folder_is_walked_once_under_its_real_name(
    tmp_path: Path, touch: Callable[..., None]
) -> None:
    touch("src/real/1.jpg", "outside/2.jpg")
    source = tmp_path / "src"
    (source / "a-link").symlink_to("real")
    (source / "album-1").symlink_to(tmp_path / "outside")
    (source / "album-2").symlink_to(tmp_path / "outside")
    assert walk(source).names == [b"album-1/2.jpg", b"real/1.jpg"]


def test_links_to_files_are_files_and_broken_ones_are_not_lost(
    tmp_path: Path, touch: Callable[..., None]
) -> None:
    touch("a.jpg")
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    (tmp_path / "c.jpg").symlink_to("nowhere.jpg")
    assert walk(tmp_path).names == [b"a.jpg", b"b.jpg", b"c.jpg"]


def test_without_following_every_link_is_skipped_and_told(
    tmp_path: Path, touch: Callable[..., None]
) -> None:
    """The trap: who may write to the source publishes what you may read."""
    touch("src/real/1.jpg", "private/2.jpg")
    source = tmp_path / "src"
    (source / "album").symlink_to(tmp_path / "private")
    (source / "b.jpg").symlink_to(tmp_path / "private" / "2.jpg")
    (source / "real" / "c.jpg").symlink_to("nowhere")
    links = [b"album", b"b.jpg", b"real/c.jpg"]
    found = walk(source, follow=False)
    assert found.names == [b"real/1.jpg"]
    assert [each.source for each in found.ended] == links
    assert {each.outcome for each in found.ended} == {Outcome.SKIPPED}
    names = b"real/1.jpg\nalbum/2.jpg\nb.jpg\n"
    found = listed(source, names, follow=False)
    assert found.names == [b"real/1.jpg"]
    assert [e.source for e in found.ended] == [b"album/2.jpg", b"b.jpg"]
    assert {e.reason for e in found.ended} == {"a link, and --no-follow"}


@pytest.mark.parametrize("what", ["the file", "its folder"])
def test_what_becomes_a_link_before_it_is_read_is_not_followed_either(
    tmp_path: Path, touch: Callable[..., None], what: str
) -> None:
    touch("src/a/1.jpg", "private/1.jpg")
    (tmp_path / "private" / "1.jpg").write_bytes(PHOTO)
    source = tmp_path / "src"
    (source / "a" / "1.jpg").write_bytes(PHOTO)
    files = Files(os.fsencode(source), [b"a/1.jpg"], Recipe(), follow=False)
    files.measure(1)
    assert files.read(1) == PHOTO
    if what == "the file":
        (source / "a" / "1.jpg").unlink()
        (source / "a" / "1.jpg").symlink_to(tmp_path / "private" / "1.jpg")
    else:
        (source / "a").rename(tmp_path / "moved")
        (source / "a").symlink_to(tmp_path / "private")
    with pytest.raises(Unreadable, match="cannot be read"):
        files.read(1)


def test_pipes_and_sockets_are_skipped_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")  # opening it would wait for ever
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket.jpg"))
        found = walk(tmp_path)
    assert found.names == []
    assert [(e.source, e.outcome) for e in found.ended] == [
        (b"pipe.jpg", Outcome.SKIPPED),
        (b"socket.jpg", Outcome.SKIPPED),
    ]
    assert found.total == 2


def test_an_unreadable_folder_is_reported_and_the_rest_is_found(
    tmp_path: Path,
    touch: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    touch("closed/1.jpg", "open/2.jpg")
    (tmp_path / "closed").chmod(0)
    scandir = os.scandir

    def as_a_user(path: Path) -> object:  # root may read anything
        if path.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", as_a_user)
    found = walk(tmp_path)
    (tmp_path / "closed").chmod(0o700)
    assert found.names == [b"open/2.jpg"]
    (record,) = found.ended
    assert (record.source, record.outcome) == (b"closed", Outcome.FAILED)
    assert "Permission denied" in record.reason


@pytest.mark.slow
def test_a_tree_deeper_than_the_stack_is_walked(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(1200):
        folder = folder / "d"
        folder.mkdir()
    (folder / "f.jpg").touch()
    try:
        assert walk(tmp_path).names == [b"d/" * 1200 + b"f.jpg"]
    finally:  # too deep for Python's own rmtree
        subprocess.run(["rm", "-r", tmp_path / "d"], check=True, timeout=10)


# -- which folders go together ----------------------------------------------


def test_source_and_target_that_could_harm_each_other_are_refused(
    tmp_path: Path,
) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    (tmp_path / "alias").symlink_to("photos")
    for target in (source, tmp_path / "alias", source / "x" / ".."):
        with pytest.raises(BadFolders, match="is the source itself"):
            check_folders(source, target)
    # photos/photos/a.jpg would be thumbnailed onto photos/a.jpg.
    with pytest.raises(BadFolders, match="could replace a photograph"):
        check_folders(source, tmp_path)
    with pytest.raises(BadFolders, match="not a folder"):
        check_folders(tmp_path / "nowhere", source)
    check_folders(source, source / "thumbs")
    check_folders(source, tmp_path / "thumbs")


# -- --files-from -----------------------------------------------------------


@pytest.mark.parametrize("end", [b"\n", b"\0"])
def test_listed_names_end_with_a_newline_or_with_nul(
    tmp_path: Path, end: bytes
) -> None:
    names = [b"b.jpg", b"a/\xff.jpg", b"./c.jpg", b"b.jpg", b""]
    found = listed(tmp_path, end.join(names))
    assert found.names == [b"a/\xff.jpg", b"b.jpg", b"c.jpg"]
    assert found.ended == []


def test_with_nul_a_listed_name_may_contain_a_newline(tmp_path: Path) -> None:
    assert listed(tmp_path, b"a\nb.jpg\0").names == [b"a\nb.jpg"]


def test_a_full_path_below_the_source_may_be_listed(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path / "a.jpg")
    assert listed(tmp_path, path).names == [b"a.jpg"]


@pytest.mark.parametrize(
    "name", [b"/etc/passwd", b"../a.jpg", b"a/../../b.jpg", b"y" * 256]
)
def test_a_listed_name_that_leads_out_fails_and_is_counted(
    tmp_path: Path, name: bytes
) -> None:
    found = listed(tmp_path, name + b"\nok.jpg\n")
    assert found.names == [b"ok.jpg"]
    (record,) = found.ended
    assert (record.source, record.outcome) == (name, Outcome.FAILED)
    assert record.reason


def test_what_is_listed_from_the_target_is_skipped(tmp_path: Path) -> None:
    """The trap: `find` lists the thumbnails of the run before."""
    source = tmp_path / "src"
    (source / "thumbs").mkdir(parents=True)
    alias = tmp_path / "alias"
    alias.symlink_to(source)
    listing = b"a.jpg\nthumbs/a.jpg\nthumbs.jpg\n"
    found = listed(source, listing, alias / "thumbs")
    assert found.names == [b"a.jpg", b"thumbs.jpg"]
    assert [each.source for each in found.ended] == [b"thumbs/a.jpg"]


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_a_list_from_windows_or_from_find_names_what_it_means(
    mark: bytes, tmp_path: Path
) -> None:
    found = listed(tmp_path, mark + b"a.jpg\r\nb.jpg\r\n")
    assert found.names == [b"a.jpg", b"b.jpg"]
    found = listed(tmp_path, mark + b".\n./a.jpg\n")
    assert (found.names, found.ended) == ([b"a.jpg"], [])
    # One name that ends like that is a name.
    assert listed(tmp_path, b"a\r\nb\n").names == [b"a\r", b"b"]


def test_what_a_pattern_excludes_is_left_out() -> None:
    found = Found([b"a/@eaDir/x.jpg", b"a/b.png", b"old/c.jpg", b"c.jpg"])
    exclude(found, ["*.png", "old"])
    assert found.names == [b"c.jpg"]


def test_what_is_no_image_claims_no_name_and_hides_no_clash(
    tmp_path: Path,
) -> None:
    """The trap: two photographs of one name, and a text before them."""
    found = Found([b"IMG.JPG", b"Img.jpg", b"img.jpg"])
    found.names += [b"pic", b"pic.jpg/1.txt", b"pic.jpg/2.png"]
    (tmp_path / "pic.jpg").mkdir()
    for name in found.names:
        is_text = name in (b"IMG.JPG", b"pic.jpg/1.txt")
        data = b"a text" if is_text else PHOTO
        (tmp_path / os.fsdecode(name)).write_bytes(data)
    lost = [b"img.jpg", b"pic.jpg/2.png"]
    left = [name for name in found.names if name not in lost]
    end_clashes(tmp_path, found, Recipe(), Folding(case=True))
    assert found.names == left
    assert [each.source for each in found.ended] == lost
