"""Plugins as processes: a plugin may crash, hang and lie; the host goes on.

    executor     for a host's author: holds plugins and calls them
    sdk          for a plugin's author: a class whose methods are called
    call         one request, one poll, four outcomes
    events       news of the calls, for programs that subscribe
    errors       what a caller is told, and whether work may have been done
    values       what can be sent: the values of JSON, and bytes
    registry     which plugins there are
    check        the faults that a plugin, or this package, must stand
    demo         a plugin crashes, hangs and lies, and the host goes on
    host/        behind the executor: processes, restarts, output
    samples/     plugins to call, and one that misbehaves
    __main__     python -m plugin_system

The two sides, `executor` and `sdk`, never import each other. So what this
package offers is imported when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugin_system.errors import (  # noqa: I001
        CallError, IncompatiblePlugin, NoSuchMethod, NoSuchPlugin,
        PluginCrashed, PluginError, PluginProtocolError, PluginTimeout,
        PluginUnavailable,
    )  # fmt: skip
    from plugin_system.executor import Executor
    from plugin_system.registry import Registration, discover
    from plugin_system.sdk import Plugin

__version__ = "1.0.0"
__all__ = (
    "Executor", "Registration", "discover", "Plugin", "CallError",
    "PluginCrashed", "PluginTimeout", "PluginProtocolError", "PluginError",
    "PluginUnavailable", "IncompatiblePlugin", "NoSuchPlugin", "NoSuchMethod",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"plugin_system has no {name}")
    homes = {"Executor": "executor", "Plugin": "sdk", "discover": "registry"}
    homes["Registration"] = "registry"
    home = import_module(f"plugin_system.{homes.get(name, 'errors')}")
    return getattr(home, name)
