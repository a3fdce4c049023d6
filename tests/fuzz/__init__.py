"""Noise for every parser of foreign bytes, guided by what it reaches.

One program for each parser, named after it. `make fuzz` runs all of them for
FUZZ_S seconds each; no part of `make test`. Seeds stand in `seeds`, what was
found beyond them in build/fuzz. To try a crash again, name its file:

    python -m tests.fuzz.deck build/fuzz/deck/crash-...
"""
