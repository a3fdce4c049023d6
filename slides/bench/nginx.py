"""The usual stack: nginx in front, uWSGI behind it over a Unix socket.

Run by uWSGI, this module is the application: it answers a posted Ping.
"""

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pingpong.support.process import running

HOST = "127.0.0.1"
UWSGI = ("uwsgi_python3", "uwsgi")  # Debian's name, and that of pyuwsgi
CONFIG = """
daemon off; master_process off; error_log stderr notice; pid {folder}/pid;
events {{}}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; scgi_temp_path {folder}/scgi;
  uwsgi_temp_path {folder}/uwsgi;
  server {{
    listen {host}:{port};
    location / {{
      uwsgi_pass unix:{folder}/app;
      uwsgi_param REQUEST_METHOD $request_method;
      uwsgi_param CONTENT_LENGTH $content_length;
      uwsgi_param PATH_INFO $document_uri;
      uwsgi_param SERVER_PROTOCOL $server_protocol;
    }}
  }}
}}
"""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run both until this process ends; yield the port.

    Raises ChildProcessError where one is missing, or uWSGI was built for
    another Python.
    """
    program = next(filter(None, map(shutil.which, UWSGI)), None)
    if not (program and shutil.which("nginx")):
        raise ChildProcessError("not installed")
    uwsgi = [
        *(program, "--socket", f"{folder}/app", "--need-app"),
        *("--virtualenv", sys.prefix, "--pythonpath", str(Path.cwd())),
        *("--module", "slides.bench.nginx:application"),
        "--disable-logging",
    ]
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, host=HOST, port=port))
    nginx = ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(config)]
    with (
        # uWSGI turns what is printed to stderr: so the word comes by 9.
        running("sh", "-c", 'exec "$@" 9>&1 2> /dev/null', "sh", *uwsgi),
        # The first notice follows the bind.
        running("sh", "-c", 'exec "$@" 2>&1', "sh", *nginx),
    ):
        yield str(port)


def application(
    environ: dict[str, Any], start_response: Callable[..., object]
) -> list[bytes]:
    from slides.bench.pingpong_rivals import reply_to

    size = int(environ["CONTENT_LENGTH"])
    reply = reply_to(environ["wsgi.input"].read(size))
    start_response("200 OK", [("Content-Length", str(len(reply)))])
    return [reply]


if "uwsgi" in sys.modules:
    os.write(9, b"ready\n")
