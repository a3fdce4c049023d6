"""A host to be killed: starts chaos, has it do something, waits for ever.

python -m tests.plugin_system.host FOLDER idle|HOW [PATH]
"""

import sys
import threading
from pathlib import Path

from plugin_system.executor import Executor

from .conftest import chaos


def main(folder: str, doing: str) -> None:
    with Executor([chaos()], runtime_base=Path(folder)) as executor:
        executor.start()
        print("pid", executor.status("chaos").pid, flush=True)
        if doing != "idle":
            noted = str(Path(folder, "noted"))
            executor.call("chaos", "hang_noting", doing, noted, timeout=1000)
        threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
