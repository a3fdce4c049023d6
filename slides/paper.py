"""Print the built deck with whatever Chromium the machine has."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from slides import DeckError

NAMES = ("chromium-headless-shell", "chromium", "google-chrome", "chrome")
LONGEST_S = 60


def chromium() -> list[str]:
    """Return the Chromium that is here, as a command; empty without one."""
    found = next(filter(None, map(shutil.which, NAMES)), "")
    needs = ["--no-sandbox"] if os.geteuid() == 0 else []
    return [found, *needs] if found else []


def print_to(pdf: Path, page: Path) -> None:
    """Write `page` of the built deck to `pdf`.

    Raises `DeckError` when there is no Chromium, or when it fails, and
    `OSError` when there is no room for what it made.
    """
    command = chromium()
    if not command:
        raise DeckError("There is no Chromium here to print with.")
    pdf.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "slides.pdf"
        try:
            printed = subprocess.run(
                [
                    *command,
                    "--headless",
                    f"--user-data-dir={scratch}/profile",
                    "--no-pdf-header-footer",
                    "--generate-pdf-document-outline",
                    f"--print-to-pdf={made}",
                    page.as_uri(),
                ],
                capture_output=True,
                text=True,
                timeout=LONGEST_S,
            )
        except subprocess.TimeoutExpired:
            raise DeckError(
                f"{command[0]} had not printed after {LONGEST_S} s."
            ) from None
        # On a full disk Chromium cuts the file off and exits with 0.
        if not made.exists() or b"%%EOF" not in made.read_bytes()[-16:]:
            said = printed.stderr[-300:]
            raise DeckError(f"{command[0]} did not print: {said}")
        shutil.copyfile(made, pdf)
