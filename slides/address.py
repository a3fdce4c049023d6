"""Where the audience finds the repository, in words and as a QR code."""

import html
import re
import subprocess
import tomllib
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from slides import ROOT, DeckError

MISSING = (
    "The first and the last slide name no repository: set Repository in"
    " [project.urls] of pyproject.toml, or git remote add origin, to a public"
    " https address."
)
SCP = re.compile(r"^(?:[\w.-]+@)?([\w.-]+):(?!//)(.+)$")  # git@host:a/b
PRIVATE = ("local", "localdomain", "lan", "internal", "home", "localhost")
GIT_S = 10


def look_up(root: Path = ROOT) -> str:
    """Return the repository's public address, or "" when none is known."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    urls = project.get("project", {}).get("urls", {})
    if named := urls.get("Repository", ""):
        if not (shown := public(named)):
            raise DeckError(
                f"Repository in pyproject.toml is {named}; the room needs an"
                " https address on a public host."
            )
        return shown
    try:
        asked = subprocess.run(
            ["git", "-C", root, "remote", "get-url", "origin"],
            capture_output=True,
            text=True,
            timeout=GIT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return public(asked.stdout.strip())


def public(remote: str) -> str:
    """Return a remote as https without user, or "" if it is not public."""
    try:
        parts = urlsplit(SCP.sub(r"ssh://\1/\2", remote))
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("https", "ssh") or not _is_public(host):
        return ""
    at = f"{host}:{port}" if port and parts.scheme == "https" else host
    path = parts.path.rstrip("/").removesuffix(".git")
    return f"https://{at}{path}"


def picture(address: str) -> str:
    """Draw the address; black on white in both themes, as cameras want it."""
    import segno

    code = segno.make_qr(address, error="m").svg_inline(
        border=4, dark="#000", light="#fff", omitsize=True
    )
    shown = html.escape(address.removeprefix("https://"))
    return (
        f'<figure class="address"><div aria-hidden="true">{code}</div>'
        f'<figcaption><a href="{html.escape(address)}">{shown}</a>'
        "</figcaption></figure>"
    )


def _is_public(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return "." in host and host.rpartition(".")[2] not in PRIVATE
    return False
