"""plugin_system: a registration in a TOML file."""

from contextlib import suppress

from tests.fuzz.kit import as_file, fuzz, instrumented

with instrumented():
    from plugin_system.registry import BadRegistration, read


def one(data: bytes) -> None:
    with suppress(BadRegistration):
        found = read(as_file(data))
        assert bool(found.target) != bool(found.argv)
        assert all(0 < limit < 2**63 for limit in found.limits.values())


if __name__ == "__main__":
    fuzz(one)
