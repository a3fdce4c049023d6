"""Run one function of a chapter as a process of its own, to be killed.

    python -m tests.patterns.run MODULE:FUNCTION [ARGUMENT ...]

The function is called with a new context and the arguments, all strings.
Tests use the fixture `spawn`, which builds this command line.
"""

import importlib
import sys

import zmq

from tests.patterns.helpers import make_patient


def main(target: str, *arguments: str) -> None:
    module, function = target.split(":")
    body = getattr(importlib.import_module(module), function)
    with zmq.Context() as context:
        make_patient(context)
        body(context, *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
