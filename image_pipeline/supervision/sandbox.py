"""What a decoder may do: use some memory, and touch no file.

Foreign bytes are decoded by C code that has had holes before. So the process
that decodes gives up its rights first, without a package and without root:

    RLIMIT_AS   a picture that needs more memory fails, and nothing else does
    landlock    no file to open or run but Python's own modules, and no
                signal to a process outside (landlock(7), Linux 5.13;
                signals from Linux 6.12)

It does not close the network: the worker's own sockets go on, and so would
those of a decoder that was taken over. Landlock binds the calling thread and
the threads that it starts later, so call this before `zmq.Context()` or a
thread of it would go on as before.
"""

import ctypes
import os
import resource
import struct
import sysconfig
from contextlib import suppress
from pathlib import Path

import zmq

MEMORY_BYTES = 2 * 2**30  # of address space, with what Python itself maps
# Read later on: modules, wherever they are installed, and what the C library
# needs to look up a host again, when a socket reconnects.
READABLE = (
    *{Path(sysconfig.get_path(name)) for name in ("stdlib", "platlib")},
    Path(zmq.__file__).parents[1],
    Path(__file__).parents[1],
    *(
        Path("/etc", name)
        for name in ("hosts", "resolv.conf", "nsswitch.conf", "host.conf")
    ),
)

_LIBC = ctypes.CDLL(None, use_errno=True)
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # syscalls
_ASK_VERSION = 1
_PATH_BENEATH = 1
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 3
_PR_SET_NO_NEW_PRIVS = 38
# How many file rights a version of landlock knows, and the size of what
# describes a ruleset: files, then network (4), then scopes (6).
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_MOST_FILE_RIGHTS = 16


class SandboxError(OSError):
    """The kernel has landlock and refused to apply it."""


def landlock_version() -> int:
    """Return the version of landlock's interface; 0 where there is none."""
    version: int = _LIBC.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    return max(0, version)


def limit_memory() -> None:
    """Let this process have so much address space, and never more."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    unlimited = hard == resource.RLIM_INFINITY
    most = MEMORY_BYTES if unlimited else min(MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def shut_in() -> bool:
    """Give up all files but READABLE; return whether the kernel could.

    Raises SandboxError where the kernel has landlock and does not apply it.
    """
    version = landlock_version()
    if not version:
        return False
    rights = (1 << _FILE_RIGHTS.get(version, _MOST_FILE_RIGHTS)) - 1
    scopes = _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0
    attributes = struct.pack("QQQ", rights, 0, scopes)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _LIBC.syscall(_CREATE_RULESET, attributes[:size], size, 0)
    _check(ruleset)
    try:
        for path in READABLE:
            _allow_reading(ruleset, path)
        _check(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _check(_LIBC.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return True


def _allow_reading(ruleset: int, path: Path) -> None:
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            rights = _READ_FILE | (_READ_FOLDER if path.is_dir() else 0)
            rule = struct.pack("=Qi", rights, descriptor)
            _check(_LIBC.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0))
        finally:
            os.close(descriptor)


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise SandboxError(number, f"landlock: {os.strerror(number)}")
