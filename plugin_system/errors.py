"""How a call may end without a result.

Each error says in `maybe_done` whether the plugin may have done the work,
or some of it. False is a promise: the request never reached the method.
True is an honest doubt: a plugin that replied and died at once may take its
reply with it, so a crash never proves that nothing was done.
"""

from copyreg import __newobj__  # type: ignore[attr-defined]
from typing import Any, ClassVar, Final

# What steers a terminal: all of ASCII and Latin-1 that shows nothing.
_ESCAPED: Final = {
    code: f"\\x{code:02x}"
    for code in (*range(32), *range(127, 160))
    if chr(code) not in "\n\t"
}


def printable(text: str) -> str:
    """Return what a plugin said, without what would steer a terminal."""
    return text.translate(_ESCAPED)


class CallError(Exception):
    """A call of `plugin` had no result; `sentence` says why.

    `status` is the exit code of the command line.
    """

    status: ClassVar = 1

    def __init__(
        self, plugin: str, sentence: str, *, maybe_done: bool = False
    ) -> None:
        super().__init__(f"{plugin}: {printable(sentence)}")
        self.plugin = plugin
        self.sentence = printable(sentence)
        self.maybe_done = maybe_done

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive pickle, copy and process pools, which know only `args`."""
        return __newobj__, (type(self), *self.args), vars(self)


class PluginCrashed(CallError):
    """The process ended, while it started or with a call in its hands.

    Of `exit_code` and `signal_name` (such as "SIGSEGV") one is None, or
    both where the host's own code waits for all of its children.
    `stderr` holds the last lines that the plugin wrote there.
    """

    status: ClassVar = 3

    def __init__(
        self,
        plugin: str,
        doing: str,
        *,
        exit_code: int | None,
        signal_name: str | None,
        stderr: list[str],
        maybe_done: bool,
    ) -> None:
        how = f"ended with exit code {exit_code}"
        if signal_name:
            how = f"was ended by {signal_name}"
        elif exit_code is None:
            how = "ended (its exit code went to the host's own wait)"
        said = f"; it said: {stderr[-1]}" if stderr else ""
        super().__init__(
            plugin, f"the process {how} {doing}{said}", maybe_done=maybe_done
        )
        self.exit_code = exit_code
        self.signal_name = signal_name
        self.stderr = stderr


class PluginTimeout(CallError):
    """The deadline passed. A plugin that had the call was killed for it."""

    status: ClassVar = 4


class PluginProtocolError(CallError):
    """The plugin's answer broke the protocol; it was killed."""

    status: ClassVar = 5


class PluginError(CallError):
    """The method raised an exception. The plugin lives on.

    `type`, `message` and `traceback` are the plugin's own words.
    """

    def __init__(
        self, plugin: str, type_: str, message: str, traceback: str
    ) -> None:
        super().__init__(plugin, f"{type_}: {message}", maybe_done=True)
        self.type = type_
        self.message = message
        self.traceback = traceback


class PluginUnavailable(CallError):
    """It cannot be called for `retry_after` seconds; None: never again."""

    status: ClassVar = 6

    def __init__(
        self,
        plugin: str,
        sentence: str,
        retry_after: float | None = None,
        *,
        maybe_done: bool = False,
    ) -> None:
        super().__init__(plugin, sentence, maybe_done=maybe_done)
        self.retry_after = retry_after


class IncompatiblePlugin(CallError):
    """It is no plugin, or one of another protocol; started by `restart`."""

    status: ClassVar = 7


class NoSuchPlugin(CallError):
    """Nothing is registered under this name."""

    status: ClassVar = 2


class NoSuchMethod(CallError):
    """The plugin has no method of this name."""

    status: ClassVar = 2
