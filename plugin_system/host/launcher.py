"""The first lines of every plugin's process: see that it dies with its host.

    launcher.py HOST_PID LIMITS exec ARGV ...         becomes a program
    launcher.py HOST_PID LIMITS run MODULE:OBJECT     serves a plugin
    launcher.py HOST_PID LIMITS script|module NAME ...     as python does

The kernel is asked to kill this process when the host ends (prctl(2),
PR_SET_PDEATHSIG, which survives an exec): also while a plugin holds the
interpreter's lock, where a thread that watches stdin would never run.
Nothing is imported that the exec does not need: every start waits for it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PATH = "PLUGIN_SYS_PATH"  # what the host can import, one a line


def die_with(host_pid: int) -> None:
    """Ask for SIGKILL at the host's death; exit if it has died already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != host_pid:
        sys.exit("the host died while it started this plugin")


def limit(limits: str) -> None:
    """Set NAME=VALUE,... with the names of getrlimit(2); exit if refused."""
    import resource

    for name, _, value in (each.partition("=") for each in limits.split(",")):
        try:
            both = (int(value), int(value))
            resource.setrlimit(getattr(resource, name), both)
        except (OSError, ValueError):
            sys.exit(f"{name} of {value} is more than the host may give")


def main(
    host_pid: str, limits: str, how: str, target: str, *rest: str
) -> object:
    die_with(int(host_pid))
    # What the host blocks is its own matter, and would survive the exec.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if limits:
        limit(limits)
    if how == "exec":
        try:
            os.execvp(target, [target, *rest])  # noqa: S606
        except OSError as error:
            sys.exit(f"cannot run {target}: {error.strerror}")
    sys.argv = [target, *rest]
    # In private: a program that the plugin runs may be another Python's.
    sys.path[:] = os.environ.pop(PATH).split("\n")
    # Lazily: the exec above must not wait for it.
    if how != "run":
        import runpy

        here = target.rpartition("/")[0] if how == "script" else ""
        sys.path.insert(0, os.path.realpath(here))
        if how == "script":
            return runpy.run_path(target, run_name="__main__")
        return runpy.run_module(target, run_name="__main__", alter_sys=True)
    from importlib import import_module

    # As an entry point may be written: module:object.attribute [extra]
    module, _, name = target.partition("[")[0].strip().partition(":")
    plugin = import_module(module)
    for attribute in (name or "plugin").split("."):
        plugin = getattr(plugin, attribute)
    return plugin.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
