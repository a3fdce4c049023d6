"""Plugins as processes: a plugin may crash, hang and lie; the host goes on.

    executor     for a host's author: holds plugins and calls them
    sdk          for a plugin's author: a class whose methods are called
    call         one request, one poll, four outcomes
    errors       what a caller is told, and whether work may have been done
    values       what can be sent: the values of JSON, and bytes
    registry     which plugins there are
    check        what a plugin, or this package, is tried with
    demo         a plugin crashes, hangs and lies, and the host goes on
    host/        behind the executor: processes, restarts, output
    samples/     plugins to call, and one that misbehaves
    __main__     python -m plugin_system

The two sides, `executor` and `sdk`, never import each other.
"""

__version__ = "1.0.0"
