"""Run every fuzzer, one after the other, and say what each has found."""

import os
import re
import subprocess
import sys
from pathlib import Path

NAMES = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if path.stem not in ("__init__", "__main__", "kit")
)


def main() -> None:
    failed = 0
    patience = 120 + int(os.environ.get("FUZZ_S", "30"))
    for name in NAMES:
        done = subprocess.run(
            [sys.executable, "-m", f"tests.fuzz.{name}"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=patience,
        )
        inputs = re.search(r"executed_units: (\d+)", done.stderr)
        count = int(inputs[1]) if inputs else 0
        verdict = "nothing found" if not done.returncode else "FAILED"
        print(f"{name:20} {count:>12,} inputs  {verdict}", flush=True)
        if done.returncode:
            failed += 1
            print(done.stdout[-4_000:], done.stderr[-4_000:], sep="\n")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
