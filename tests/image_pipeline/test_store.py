"""The target folder: whole or nothing, inside, resumable, one at a time."""

import os
import random
import resource
import shutil
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from image_pipeline.outcome import CannotKeep, TargetError
from image_pipeline.storage import directory
from image_pipeline.storage.journal import Journal, Source
from image_pipeline.storage.names import Folding
from image_pipeline.storage.store import (
    PRIVATE,
    Store,
    looking_at,
)
from tests.support import ROOT, Program

SOURCE = Source(
    b"x/a.jpg", 1000, 1_700_000_000_000_000_000, "recipe-1", 0o666
)
OUTPUTS = (b"x/a.jpg",)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "thumbs"


@pytest.fixture
def store(target: Path) -> Iterator[Store]:
    with Store(target) as opened:
        yield opened


def everything_in(folder: Path) -> dict[str, bytes]:
    """All files but the journal and the lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("journal", "lock")
    }


def test_a_thumbnail_appears_under_its_name_and_nothing_else_does(
    store: Store, target: Path
) -> None:
    store.keep(SOURCE, {b"x/a.jpg": b"small"})
    assert everything_in(target) == {"x/a.jpg": b"small"}
    mode = (target / "x" / "a.jpg").stat().st_mode
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(mode) == 0o666 & ~mask


def test_hostile_names_are_written_exactly(
    store: Store, target: Path
) -> None:
    names = [b"-rf", b"a\nb", b"caf\xe9", b"%s", b"y" * 255, b"\x1b[2J"]
    for name in names:
        store.write(name, name)
    for name in names:
        assert (target / os.fsdecode(name)).read_bytes() == name


# -- nothing outside --------------------------------------------------------


@pytest.mark.parametrize(
    "name", [b"../out", b"/tmp/out", b"x/../../out", b"", b"a\0b", b"y" * 256]
)
def test_a_name_that_leads_out_is_refused(
    store: Store, tmp_path: Path, name: bytes
) -> None:
    with pytest.raises(CannotKeep):
        store.write(name, b"forged")
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_through_a_link(
    store: Store, target: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    (target / "way-out").symlink_to(outside)
    (target / "file").symlink_to(outside / "precious")
    with pytest.raises(CannotKeep):
        store.write(b"way-out/a.jpg", b"forged")
    with pytest.raises(CannotKeep):
        store.write(b"way-out/deeper/a.jpg", b"forged")
    store.write(b"file", b"thumbnail")  # replaces the link itself
    assert (target / "file").read_bytes() == b"thumbnail"
    assert not (target / "file").is_symlink()
    assert everything_in(outside) == {"precious": b"mine"}


def test_a_journal_that_is_a_link_is_refused(
    target: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (target / PRIVATE).mkdir(parents=True)
    (target / PRIVATE / "journal").symlink_to(precious)
    with pytest.raises(TargetError):
        Store(target)
    assert precious.read_text() == "mine"


def test_a_target_whose_private_folder_is_a_link_is_refused(
    target: Path, tmp_path: Path
) -> None:
    target.mkdir()
    (target / PRIVATE).symlink_to(tmp_path)
    with pytest.raises(TargetError):
        Store(target)


def test_a_file_or_folder_in_the_way_fails_this_thumbnail_only(
    store: Store,
) -> None:
    store.write(b"a.jpg", b"1")
    with pytest.raises(CannotKeep):
        store.write(b"a.jpg/b.jpg", b"2")
    store.write(b"folder/c.jpg", b"3")
    with pytest.raises(CannotKeep):
        store.write(b"folder", b"4")
    store.write(b"a.jpg", b"5")


def test_many_folders_do_not_exhaust_the_descriptors(
    store: Store, target: Path
) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for number in range(300):
        store.write(b"%d/deep/er/a.jpg" % number, b"x")
    store.write(b"/".join([b"d"] * 300) + b"/a.jpg", b"x")
    for number in range(300):
        store.write(b"%d/deep/b.jpg" % number, b"x")
    assert len(os.listdir("/proc/self/fd")) < before + 100  # noqa: PTH208
    assert len(everything_in(target)) == 601


# -- resuming ---------------------------------------------------------------


def test_what_was_kept_is_current_in_the_next_run(target: Path) -> None:
    with Store(target) as first:
        assert not first.is_current(SOURCE, OUTPUTS)
        first.keep(SOURCE, {b"x/a.jpg": b"small"})
        assert first.is_current(SOURCE, OUTPUTS)
    with Store(target) as second:
        assert second.is_current(SOURCE, OUTPUTS)
    with looking_at(target) as content:
        assert content
        assert content.is_current(SOURCE, OUTPUTS)


@pytest.mark.parametrize(
    "changed",
    [
        replace(SOURCE, size=1001),
        replace(SOURCE, mtime_ns=SOURCE.mtime_ns + 1),
        replace(SOURCE, fingerprint="recipe-2"),
        replace(SOURCE, name=b"x/b.jpg"),
    ],
)
def test_a_changed_source_or_recipe_is_not_current(
    store: Store, changed: Source
) -> None:
    store.keep(SOURCE, {b"x/a.jpg": b"small"})
    assert not store.is_current(changed, OUTPUTS)


@pytest.mark.parametrize("harm", ["removed", "emptied", "linked", "folder"])
def test_a_harmed_thumbnail_is_not_current(
    store: Store, target: Path, harm: str
) -> None:
    store.keep(SOURCE, {b"x/a.jpg": b"small"})
    path = target / "x" / "a.jpg"
    path.unlink()
    if harm == "emptied":  # as after a power cut
        path.touch()
    elif harm == "linked":
        path.symlink_to("/etc/hostname")
    elif harm == "folder":
        path.mkdir()
    assert not store.is_current(SOURCE, OUTPUTS)


def test_a_run_killed_while_replacing_leaves_nothing_that_looks_current(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The trap: the new thumbnail is in place, the note of it is not, and
    # the old note fits the old recipe, to which we then return.
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    other = replace(SOURCE, fingerprint="recipe-2")
    with Store(target) as store:
        store.keep(SOURCE, {b"x/a.jpg": b"old 1"})
        monkeypatch.setattr(Journal, "remember", killed)
        with pytest.raises(Killed):
            store.keep(other, {b"x/a.jpg": b"new 2"})
    with Store(target) as store:
        assert not store.is_current(SOURCE, OUTPUTS)
        assert not store.is_current(other, OUTPUTS)


def test_a_journal_cut_at_any_byte_is_read_without_a_wrong_word(
    target: Path,
) -> None:
    sources = [replace(SOURCE, name=b"%d.jpg" % n) for n in range(4)]
    with Store(target) as store:
        for source in sources:
            store.keep(source, {source.name: b"small"})
    journal = target / PRIVATE / "journal"
    whole = journal.read_bytes()
    for length in range(len(whole)):
        journal.write_bytes(whole[:length])
        finished = whole[:length].count(b"\n") // 2
        with Store(target, overwrite=True) as store:
            current = [store.is_current(s, (s.name,)) for s in sources]
            assert current == [n < finished for n in range(4)]
            # What is written next is not glued to the half line.
            store.keep(sources[3], {sources[3].name: b"small"})
        with Store(target) as store:
            assert store.is_current(sources[3], (sources[3].name,))


def test_a_journal_full_of_garbage_only_costs_the_work(target: Path) -> None:
    journal = target / PRIVATE / "journal"
    journal.parent.mkdir(parents=True)
    rng = random.Random(3)
    journal.write_bytes(rng.randbytes(5000) + b"\n- - -\nab cd x\n\n \n")
    with Store(target) as store:
        assert not store.is_current(SOURCE, OUTPUTS)
        store.keep(SOURCE, {b"x/a.jpg": b"small"})
        assert store.is_current(SOURCE, OUTPUTS)


def test_looking_at_a_target_does_not_make_it(target: Path) -> None:
    with looking_at(target) as content:
        assert content is None
    assert not target.exists()


# -- one at a time, and what the dead leave ---------------------------------

HOLD = """
import sys, pathlib
from image_pipeline.storage.store import Store
store = Store(pathlib.Path(sys.argv[1]))
print("holding", flush=True)
sys.stdin.read() or __import__("time").sleep(60)
"""


def test_a_second_run_is_refused_and_a_dead_ones_remains_are_removed(
    target: Path, start: Callable[..., Program], tmp_path: Path
) -> None:
    (tmp_path / "hold.py").write_text(HOLD)
    first = start("hold", str(target), env={"PYTHONPATH": _paths(tmp_path)})
    first.wait_for("holding")
    with pytest.raises(TargetError, match="another run is writing"):
        Store(target)
    stale = target / PRIVATE / "17.tmp"
    stale.write_bytes(b"half a thumb")
    first.signal(signal.SIGKILL)
    first.wait()
    with Store(target):
        assert not stale.exists()


def _paths(*more: Path) -> str:
    return os.pathsep.join(str(path) for path in (ROOT, *more))


def test_a_target_that_is_a_file_is_refused_with_a_sentence(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TargetError, match=r"cannot write to .*file"):
        Store(tmp_path / "file")


# -- full, read-only, gone --------------------------------------------------


def test_a_full_disk_is_one_clear_error_and_leaves_no_half_file(
    target: Path, small_disk: Callable[[str], None]
) -> None:
    small_disk("size=256k")
    kept = {}
    with (
        Store(target) as store,
        pytest.raises(TargetError, match="No space left on device"),
    ):
        for number in range(200):
            name = b"%d.jpg" % number
            source = replace(SOURCE, name=name)
            store.keep(source, {name: bytes(10_000)})
            kept[name.decode()] = bytes(10_000)
    assert kept
    assert everything_in(target) == kept


def test_a_folder_with_no_room_for_one_more_file_is_full_too(
    target: Path, small_disk: Callable[[str], None]
) -> None:
    small_disk("nr_inodes=12")
    with (
        Store(target) as store,
        pytest.raises(TargetError, match="No space left on device"),
    ):
        for number in range(20):
            store.write(b"%d.jpg" % number, b"small")


def test_a_read_only_target_is_one_clear_error(
    target: Path, small_disk: Callable[[str], None]
) -> None:
    small_disk("size=256k")
    with Store(target) as store:
        store.write(b"a.jpg", b"1")
    small_disk("ro")
    with pytest.raises(TargetError, match="Read-only file system"):
        Store(target)


def test_a_folder_removed_during_the_run_is_made_again(
    store: Store, target: Path
) -> None:
    store.write(b"x/y/a.jpg", b"1")
    for path in (target / "x/y/a.jpg", target / "x/y", target / "x"):
        path.rmdir() if path.is_dir() else path.unlink()
    store.write(b"x/y/b.jpg", b"2")
    assert everything_in(target) == {"x/y/b.jpg": b"2"}


def test_a_target_removed_during_the_run_ends_it(
    store: Store, target: Path
) -> None:
    shutil.rmtree(target)
    with pytest.raises(TargetError, match="has been removed"):
        store.write(b"a.jpg", b"1")


def test_descriptors_that_others_hold_for_a_while_cost_no_thumbnail(
    store: Store, target: Path
) -> None:
    """The trap: a thousand silent strangers at the port ended the sink."""
    (target / "mine.jpg").write_bytes(b"a photograph")
    thumbnail = {b"deep/er/a.jpg": b"1"}
    with no_descriptor_left() as held:
        threading.Timer(0.5, held.close).start()
        store.keep(SOURCE, thumbnail)
    assert (target / "deep" / "er" / "a.jpg").read_bytes() == b"1"
    with no_descriptor_left() as held:
        threading.Timer(0.5, held.close).start()
        with pytest.raises(CannotKeep, match="was not made from it"):
            store.keep(SOURCE, {b"mine.jpg": b"1"})
    assert (target / "mine.jpg").read_bytes() == b"a photograph"


def test_running_out_of_descriptors_is_nobodys_thumbnails_fault(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "PATIENCE_S", 0.1)
    with (
        no_descriptor_left(),
        pytest.raises(TargetError, match="Too many open files"),
    ):
        store.write(b"x/a.jpg", b"1")


@contextmanager
def no_descriptor_left() -> Iterator[ExitStack]:
    """Open files until the kernel refuses; they close with what is lent."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, soft), hard))
    with ExitStack() as held:
        held.callback(
            resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard)
        )
        with suppress(OSError):
            while True:
                held.callback(os.close, os.dup(0))
        yield held


def test_the_private_folder_is_its_owners(tmp_path: Path) -> None:
    """The trap: under umask 000 others could replace the journal."""
    before = os.umask(0)
    try:
        with Store(tmp_path / "thumbs"):
            mode = (tmp_path / "thumbs" / PRIVATE).stat().st_mode
    finally:
        os.umask(before)
    assert stat.S_IMODE(mode) == 0o700


def test_the_file_system_is_asked_which_names_it_confuses(
    store: Store, target: Path
) -> None:
    (target / "Probe").touch()
    case = (target / "pROBE").exists()
    assert store.folding() == Folding(case=case, unicode=case)
    assert sys.platform != "linux" or not case
    assert set(everything_in(target)) == {"Probe"}
