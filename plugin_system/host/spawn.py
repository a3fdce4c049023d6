"""How a plugin's process is born: its command, its environment, its pipes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from plugin_system.host import launcher, linux
from plugin_system.registry import Registration

ENVIRONMENT: Final = (
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
)  # fmt: skip


def spawn(
    registration: Registration, environment: dict[str, str], ready_fd: int
) -> tuple[subprocess.Popen[bytes], int]:
    """Start it in a session of its own; return it with its pidfd.

    `ready_fd` is the end of the pipe on which it says that it is ready.
    Raises OSError when the system has no process or descriptor left.
    """
    if not sys.executable or not Path(launcher.__file__).is_file():
        # In a zipapp or a frozen program, Python would start that again.
        raise OSError("there is no Python here that could run a plugin")
    launched = [launcher.__file__, str(os.getpid())]
    bare = [sys.executable, "-I", "-S", *launched, "exec"]
    # What the host can import, its own Python plugins can import too.
    paths = os.pathsep.join(
        path or str(Path.cwd()) for path in sys.path if isinstance(path, str)
    )
    python = {"PYTHONPATH": paths}
    if registration.target:
        python = {launcher.PATH: paths}
        argv = [sys.executable, "-P", *launched, "run", registration.target]
    elif registration.argv[0] == "python":
        argv = [*bare, sys.executable, *registration.argv[1:]]
    else:
        argv = [*bare, *registration.argv]
        python = {}
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[ready_fd],
        env={
            **{k: v for k, v in os.environ.items() if k in ENVIRONMENT},
            **python,
            "PYTHONUNBUFFERED": "1",
            **registration.env,
            **environment,
            "PLUGIN_READY_FD": str(ready_fd),
        },
        cwd=registration.folder,
        start_new_session=True,
        bufsize=0,
    )
    try:
        return process, os.pidfd_open(process.pid)
    except OSError:  # no file descriptor is left
        linux.kill_group(process)
        process.communicate()
        raise
