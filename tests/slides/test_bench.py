"""The benches by their command: what they print, and how they fail."""

import json
from importlib.util import find_spec

import pytest
from click.testing import CliRunner

from slides import bench
from slides.__main__ import main
from slides.bench import baselines, kit, pingpong, soak

pytestmark = pytest.mark.slow


def test_pingpong_has_a_row_or_a_reason_for_every_program() -> None:
    result = pingpong.measure(20)
    rows = {row.name: row for row in result.rows}
    assert {
        *("REQ/REP, tcp", "REQ/REP, ipc", "REQ/REP, inproc"),
        *("raw TCP socket, one core", "HTTP/1.1 keep-alive"),
    } <= set(rows)
    assert {"cores", "cpu", "load before"} <= set(result.machine)
    assert {"python", "pyzmq", "libzmq"} <= set(result.versions)
    for program, row in (
        ("raw TCP socket, two cores", "raw TCP socket, two cores"),
        ("C on libzmq", "C on libzmq, tcp"),
        ("gRPC", "gRPC"),
        ("nginx and uWSGI", "nginx and uWSGI"),
    ):
        assert (program in result.left_out) != (row in rows)
    assert ("gRPC" in rows) == bool(find_spec("grpc"))
    for each in result.rows:
        assert each.p99_s and 0 < each.median_s <= each.p99_s < 10
    assert rows["REQ/REP, tcp"].ratio == 1


def test_a_baseline_that_is_not_installed_is_left_out_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(baselines, "UWSGI", ())
    result = pingpong.measure(10)
    assert result.left_out["nginx and uWSGI"] == "not installed"


@pytest.mark.timeout(180)
def test_a_soak_loses_nothing_while_processes_are_killed() -> None:
    shown = CliRunner().invoke(soak.main, ["--scale", "0.0005"])
    assert shown.exit_code == 0, shown.output
    assert "image_pipeline: 100 of 100" in shown.output
    assert "1 x plugin" in shown.output
    assert "pingpong: 500 of 500" in shown.output


def test_json_holds_what_the_deck_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = kit.Bench({"cores": 2}, {}, [kit.row("ours", [0.5], 1.0)])
    monkeypatch.setattr(bench, "measure", lambda *_, **__: found)
    shown = CliRunner().invoke(main, ["bench", "pingpong", "--json"])
    (row,) = json.loads(shown.stdout)["pingpong"]["rows"]
    assert row["median_s"] == 0.5 and row["ratio"] == 1
    assert "cpu_ms" not in row  # nobody has measured it
