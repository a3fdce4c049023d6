"""What Pillow warns of, kept for the image that it warned about.

`warnings.catch_warnings` would do it for the whole process, so threads that
work on several images would mix them up.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_heard = threading.local()
_show_elsewhere = warnings.showwarning


def listen() -> None:
    """Collect every warning of Pillow, in the whole process."""
    warnings.filterwarnings("always", module=r"PIL\.")
    warnings.showwarning = _hear


@contextmanager
def about_one_image() -> Iterator[list[str]]:
    """Yield a list of the warnings that this thread gets in the block."""
    messages: list[str] = []
    _heard.messages = messages
    try:
        yield messages
    finally:
        _heard.messages = None


def _hear(message: Warning | str, *where: Any, **more: Any) -> None:
    messages: list[str] | None = getattr(_heard, "messages", None)
    if messages is None:
        _show_elsewhere(message, *where, **more)
    else:
        messages.append(" ".join(str(message).split()))
