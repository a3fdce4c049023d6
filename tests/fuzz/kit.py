"""What the fuzzers share: their folders, and how long they run."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile

import atheris

from tests.support import ROOT

SEEDS = ROOT / "tests" / "fuzz" / "seeds"
FOUND = ROOT / "build" / "fuzz"
instrumented = atheris.instrument_imports
_scratch = NamedTemporaryFile(suffix=".toml", dir="/dev/shm")  # noqa: SIM115


def fuzz(one: Callable[[bytes], None]) -> None:
    """Give noise to `one` until it raises, or for FUZZ_S seconds."""
    name = Path(sys.argv[0]).stem
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    seeds = [str(each) for each in [SEEDS / name] if each.is_dir()]
    options = [
        f"-max_total_time={os.environ.get('FUZZ_S', '30')}",
        f"-artifact_prefix={found}/",
        "-max_len=4096",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-verbosity=0",
        "-print_final_stats=1",
    ]
    # Named files are tried again; without one, these are the corpus.
    corpus = sys.argv[1:] or [str(found), *seeds]
    atheris.Setup([sys.argv[0], *options, *corpus], one)
    atheris.Fuzz()


def as_file(data: bytes) -> Path:
    """Return a file with these bytes, the same one each time."""
    path = Path(_scratch.name)
    path.write_bytes(data)
    return path
