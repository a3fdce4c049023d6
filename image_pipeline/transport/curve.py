"""CURVE: who may talk to whom, proved by keys.

`keygen` writes two certificates, in the format of zmq.auth:

    server.key  server.key_secret   for the ventilator and the sink
    client.key  client.key_secret   for the workers

A machine that only runs workers needs `server.key` and `client.key_secret`.
A socket that binds admits the holders of these two certificates, no others.
The ventilator and the sink know each other by the server's key, so a worker
cannot pass itself off as one of them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import zmq

DOMAIN = "image_pipeline"  # of ZAP: the sockets that the guard answers for


class BadKeys(Exception):
    """A folder of keys that cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Keys:
    """A key pair of our own, and the public keys of both sides (Z85)."""

    public: bytes
    secret: bytes
    server: bytes
    client: bytes

    def serve(self, socket: zmq.Socket[bytes]) -> None:
        """Let `socket`, which is about to bind, admit only known keys."""
        socket.curve_server = True
        socket.curve_publickey = self.public
        socket.curve_secretkey = self.secret
        socket.zap_domain = DOMAIN.encode()
        # Without this, libzmq admits everybody when no guard answers in this
        # context, or none any more.
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def join(self, socket: zmq.Socket[bytes]) -> None:
        """Let `socket`, which is about to connect, prove who we are."""
        socket.curve_serverkey = self.server
        socket.curve_publickey = self.public
        socket.curve_secretkey = self.secret

    def is_server(self, frame: zmq.Frame) -> bool:
        """Return whether the sender of `frame` holds the server's key."""
        return frame.get("User-Id") == self.server.decode()

    def callback(self, _domain: str, key: bytes) -> bool:
        """Tell a guard whom to admit: the two keys that we know."""
        return key in (self.server, self.client)


def generate(folder: Path) -> list[Path]:
    """Write both certificates into `folder`, for their owner's eyes only.

    A `.gitignore` beside them keeps them out of a repository. Raises BadKeys
    when there are keys already, since what was made with them would be
    locked out, and when others could exchange what is in the folder.
    """
    if present := sorted(folder.glob("*.key*")):
        raise BadKeys(f"{present[0]} exists: choose an empty folder")
    from zmq.auth import create_certificates

    before = os.umask(0o077)  # not for a moment may others read them
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_owner(folder, others_may=0o055)
        ignore = folder / ".gitignore"
        with suppress(FileExistsError), ignore.open("x") as file:
            file.write("*\n")
        for name in ("server", "client"):
            create_certificates(folder, name)
    finally:
        os.umask(before)
    return sorted(folder.glob("*.key*"))


def _check_owner(path: Path, others_may: int) -> None:
    """Raise BadKeys for what others own, or may do more with than that."""
    status = path.stat()
    if status.st_uid not in (os.geteuid(), 0):
        raise BadKeys(f"{path} belongs to somebody else")
    if status.st_uid != os.geteuid():  # a secret that a container is lent
        others_may |= 0o055
    if status.st_mode & 0o077 & ~others_may:
        raise BadKeys(
            f"{path} is open to others: chmod go-rwx it, as keys must be"
        )


def load(folder: Path, role: str) -> Keys:
    """Load the keys for `role`, "server" or "client"; raises BadKeys."""
    from zmq.auth import load_certificate

    try:
        _check_owner(folder / f"{role}.key_secret", others_may=0)
        public, secret = load_certificate(folder / f"{role}.key_secret")
        server, _ = load_certificate(folder / "server.key")
        client = b""
        if role == "server":
            client, _ = load_certificate(folder / "client.key")
    except (OSError, ValueError) as error:
        raise BadKeys(f"no {role} keys in {folder}: {error}") from None
    if secret is None:
        raise BadKeys(f"{folder}/{role}.key_secret holds no secret key")
    return Keys(public, secret, server, client)


def for_one_run() -> tuple[Keys, Keys]:
    """Make keys that live as long as a run: ours, and its workers'."""
    server, server_secret = zmq.curve_keypair()
    client, client_secret = zmq.curve_keypair()
    return (
        Keys(server, server_secret, server, client),
        Keys(client, client_secret, server, client),
    )


@contextmanager
def guard(
    context: zmq.Context[zmq.Socket[bytes]], keys: Keys | None
) -> Iterator[None]:
    """Answer libzmq's questions about who may enter (ZAP, RFC 27).

    Needed in each context that binds with keys, before it binds.
    """
    if not keys:
        yield
        return
    # These bring asyncio with them, which costs every start 60 ms.
    from zmq.auth.thread import ThreadAuthenticator

    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    try:
        authenticator.configure_curve_callback(DOMAIN, keys)
        yield
    finally:
        authenticator.stop()
