"""The first lines of every plugin's process: see that it dies with its host.

    launcher.py HOST_PID LIMITS READABLE exec ARGV ...     becomes a program
    launcher.py HOST_PID LIMITS READABLE run MODULE:OBJECT serves a plugin
    launcher.py HOST_PID LIMITS READABLE script|module NAME ...   as python

READABLE, a list in JSON, is what a plugin in a sandbox may read; it is empty
without one.

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
libc = ctypes.CDLL(None, use_errno=True)


def die_with(host_pid: int) -> None:
    """Ask for SIGKILL at the host's death; exit if it has died already."""
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


def shut_in(readable: str) -> None:
    """Give up all files but these, and signals; exit where that fails.

    landlock(7): syscall 444 makes a set of rules, 445 adds one, 446 applies.
    The one thing that it may still make is a socket beside its endpoint.
    """
    import json
    import stat
    import struct

    version = libc.syscall(444, None, 0, 1)
    if version < 1:
        sys.exit("a sandbox needs landlock (Linux 5.13), not to be had here")
    # How many rights to files there are, by version; bits of linux/landlock.h
    rights = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    scopes = 3 if version >= 6 else 0  # abstract sockets, signals
    size = 8 if version < 4 else 16 if version < 6 else 24
    described = struct.pack("QQQ", rights, 0, scopes)[:size]
    rules = libc.syscall(444, described, size, 0)

    execute, write, read, read_folder, make_socket = 1, 2, 4, 8, 512

    def allow(path: str, rights: int) -> None:
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return  # what is not there cannot be read either
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= ~read_folder
        libc.syscall(445, rules, 1, struct.pack("=Qi", rights, fd), 0)
        os.close(fd)

    for path in json.loads(readable):
        allow(path, execute | read | read_folder)
    allow("/dev/null", write | read)
    endpoint = os.environ["PLUGIN_ENDPOINT"].removeprefix("ipc://")
    allow(endpoint.rpartition("/")[0], make_socket)
    no_new_privileges = 38
    libc.prctl(no_new_privileges, 1, 0, 0, 0)
    if rules < 0 or libc.syscall(446, rules, 0):
        sys.exit(f"landlock: {os.strerror(ctypes.get_errno())}")
    os.close(rules)


def main(
    host_pid: str,
    limits: str,
    readable: str,
    how: str,
    target: str,
    *rest: str,
) -> object:
    die_with(int(host_pid))
    # What the host blocks is its own matter, and would survive the exec.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if limits:
        limit(limits)
    if readable:
        shut_in(readable)
    if how == "exec":
        try:
            os.execvp(target, [target, *rest])  # noqa: S606
        except OSError as error:
            sys.exit(f"cannot run {target}: {error.strerror}")
    sys.argv = [target, *rest]
    # In private: a program that the plugin runs may be another Python's.
    sys.path[:] = os.environ.pop(PATH).split("\n")
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
