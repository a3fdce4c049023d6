"""A worker as its supervisor sees it: its current file, and how it ended."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from image_pipeline.transport.curve import Keys
from image_pipeline.transport.sockets import Context


@dataclass(frozen=True, slots=True)
class Noted:
    """The file that a worker is working on, or 0, and when it began."""

    file_id: int = 0
    began: float = 0.0
    seconds: float = 0.0  # that it may take


@dataclass(frozen=True, slots=True)
class Exit:
    """How a worker ended; `cause` is empty where it was in good order.

    `gives_up` says that the next one would fare no better; `words` is the
    last that it wrote to stderr.
    """

    cause: str = ""
    gives_up: bool = False
    words: str = ""
    failed: bool = False  # by itself, and not by a signal


@dataclass(frozen=True, slots=True)
class Work:
    """Where a worker connects, and how long it stays: see `Until`."""

    tasks: str
    results: str
    keys: Keys | None
    once: bool
    replaces: bool = False  # one that has ended


class Worker(ABC):
    """One worker; the times are what its supervisor has seen of it."""

    descriptor = -1  # readable when the worker has ended, where there is one

    def __init__(self, name: str) -> None:
        self.name = name
        self.noted = Noted()
        self.noted_since = 0.0
        self.awake = 0.0  # when it was last not stopped

    @abstractmethod
    def begin(self, context: Context, work: Work) -> None: ...
    @abstractmethod
    def read_note(self) -> Noted: ...
    @abstractmethod
    def exit(self) -> Exit | None: ...

    def is_stopped(self) -> bool:
        return False

    @abstractmethod
    def leave(self) -> None:
        """Ask it to finish its current file, and to leave."""

    @abstractmethod
    def kill(self) -> None: ...
    @abstractmethod
    def close(self, deadline: float) -> bool:
        """Wait for its end and clean up; tell whether it did end."""
