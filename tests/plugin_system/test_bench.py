"""The bench measures what it says, and names what it left out."""

import sys

import pytest

from plugin_system.bench import lines, measure


def test_a_short_bench_has_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)  # as if not installed
    result = measure(calls=100, faults=3)
    names = [row["name"] for row in result["rows"]]
    assert names[0].startswith("bare REQ/REP")
    assert names[1] == "Executor.call"
    for row in result["rows"]:
        assert 0 < row["median_s"] <= row["p99_s"] <= row["max_s"]
    assert result["left_out"] == ["gRPC, since grpcio is not installed"]
    assert all(len(line) <= 80 for line in lines(result))


def test_grpc_is_a_row_where_it_is_installed() -> None:
    result = measure(calls=100, faults=3)
    assert "gRPC over a Unix socket" in str(result["rows"])
    assert not result["left_out"]
