"""How a plugin's process is born: its command, its environment, its pipes."""

import json
import os
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final
from weakref import WeakSet

from plugin_system.host import launcher
from plugin_system.registry import Registration

ENVIRONMENT: Final = (
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
)  # fmt: skip
# What a plugin in a sandbox may read and run, besides its modules and folder.
# Not /proc, where the environment of your other processes stands.
SYSTEM: Final = (
    "/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc", "/dev/urandom",
)  # fmt: skip

# A child that the host forks inherits the pipes of all plugins. It closes
# them at once: while it held a stdin, that plugin would not see its end.
# A fork waits until the pipes are known; gevent forks in its own Popen.
_starting = threading.RLock()
_started: WeakSet[subprocess.Popen[bytes]] = WeakSet()


def _close_in_child() -> None:
    _starting.release()
    for process in _started:
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()


os.register_at_fork(
    before=_starting.acquire,
    after_in_parent=_starting.release,
    after_in_child=_close_in_child,
)


def spawn(
    registration: Registration, environment: dict[str, str]
) -> tuple[subprocess.Popen[bytes], int, int]:
    """Start it in a session of its own.

    Return it, its pidfd, and our end of the pipe for its PluginReady. Raises
    OSError when the system has no process or descriptor left.
    """
    frozen = getattr(sys, "frozen", False)
    if frozen or not (sys.executable and Path(launcher.__file__).is_file()):
        # In a zipapp or a frozen program, Python would start that again.
        raise OSError("there is no Python here that could run a plugin")
    limits = ",".join(f"{k}={n}" for k, n in registration.limits.items())
    # What the host can import, its own Python plugins can import too.
    modules = [path for path in sys.path if isinstance(path, str)]
    with suppress(FileNotFoundError):  # our own folder was removed
        modules = [*map(os.path.abspath, modules)]
    python = {launcher.PATH: "\n".join(modules)}
    readable = ""
    if registration.sandbox:
        here = [str(registration.folder)] * bool(registration.folder)
        python_itself = (sys.prefix, sys.base_prefix)
        folders = (*SYSTEM, *python_itself, *modules, *here)
        readable = json.dumps([*folders, *registration.may_read])
    launched = [launcher.__file__, str(os.getpid()), limits, readable]
    ours = [sys.executable, "-P", *launched]
    how, *rest = registration.argv or ("",)
    if registration.target:
        argv = [*ours, "run", registration.target]
    elif how == "python" and rest and rest[0] == "-m":
        argv = [*ours, "module", *rest[1:]]
    elif how == "python" and rest and not rest[0].startswith("-"):
        argv = [*ours, "script", *rest]
    else:
        how = sys.executable if how == "python" else how
        argv = [sys.executable, "-I", "-S", *launched, "exec", how, *rest]
        python = {}
    passed = (*ENVIRONMENT, *registration.pass_env)
    env = {
        **{k: v for k, v in os.environ.items() if k in passed},
        **python,
        "PYTHONUNBUFFERED": "1",
        **registration.env,
        **environment,
    }
    with _starting, ExitStack() as failed:
        ready_fd, plugins_end = os.pipe()
        failed.callback(os.close, ready_fd)
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[plugins_end],
                env={**env, "PLUGIN_READY_FD": str(plugins_end)},
                cwd=registration.folder,
                start_new_session=True,
                bufsize=0,
            )
        finally:
            os.close(plugins_end)
        _started.add(process)
        try:
            death = os.pidfd_open(process.pid)
        except OSError:  # no descriptor is left, or the host has reaped it
            process.kill()
            process.communicate()
            raise
        failed.pop_all()
    return process, death, ready_fd
