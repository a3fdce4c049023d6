"""The counts add up, and the times are what they are called."""

from hypothesis import given
from hypothesis import strategies as st

from pingpong.support.stats import SAMPLES, Outcome, Report, quantile

OUTCOMES = st.builds(
    Outcome,
    seq=st.integers(1),
    retries=st.integers(0, 9),
    rtt=st.none() | st.floats(0, 1e6),
    lost=st.sampled_from(["", "no answer"]),
)


@given(st.lists(OUTCOMES))
def test_every_ping_ends_in_exactly_one_way(outcomes: list[Outcome]) -> None:
    report = Report()
    for outcome in outcomes:
        report.add(outcome)
    assert report.sent == len(outcomes)
    assert report.lost + report.interrupted == report.reasons.total()
    assert report.retries == sum(outcome.retries for outcome in outcomes)


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_the_round_trip_figures_are_in_order(times: list[float]) -> None:
    report = Report()
    for seq, rtt in enumerate(times, 1):
        report.add(Outcome(seq, 0, rtt))
    figures = report.rtt()
    assert figures["min"] == min(times)
    assert figures["max"] == max(times)
    assert figures["min"] <= figures["p50"] <= figures["p99"]
    assert figures["p99"] <= figures["max"]


def test_quantiles_of_a_hundred_are_the_fiftieth_and_the_ninety_ninth() -> (
    None
):
    ordered = [float(number) for number in range(1, 101)]
    assert quantile(ordered, 0.50) == 50
    assert quantile(ordered, 0.99) == 99
    assert quantile([3.0], 0.99) == 3


def test_a_client_that_runs_for_ever_keeps_a_bounded_sample() -> None:
    report = Report()
    many = 3 * SAMPLES
    for seq in range(1, many + 1):
        report.add(Outcome(seq, 0, seq / many))
    assert len(report.times) == SAMPLES
    assert abs(report.rtt()["p50"] - 0.5) < 0.05
    assert abs(report.rtt()["p99"] - 0.99) < 0.01
    assert report.rtt()["max"] == 1
