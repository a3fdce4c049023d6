"""The server may be late, killed or frozen: every ping is answered once."""

import json
import re
import signal

from tests.pingpong.conftest import Start, start_server
from tests.support import Program


def start_client(start: Start, endpoint: str, *options: str) -> Program:
    return start(
        *("pingpong", "client", "--connect", endpoint, "--timeout", "0.3"),
        *("--retries", "100", "--interval", "0.02", *options),
    )


def assert_all_answered_after_retries(client: Program, count: int) -> None:
    assert client.wait() == 0
    pongs = [
        line.split()[1]
        for line in client.stdout.splitlines()
        if line.startswith("pong")
    ]
    assert pongs == [f"seq={seq}" for seq in range(1, count + 1)]
    assert f"{count} sent, {count} received, 0 lost" in client.stdout
    assert "no answer in 0.3 s, try 2" in client.stdout
    assert " 0 retries" not in client.stdout
    assert client.stderr == ""


def assert_it_goes_on_and_loses_nothing(client: Program) -> None:
    """A client without a count, whose server has just come back."""
    for _ in range(20):
        client.wait_for("^pong ")
    client.signal(signal.SIGINT)
    assert client.wait() == 0
    pongs = re.findall(r"^pong seq=(\d+) ", client.stdout, re.M)
    assert list(map(int, pongs)) == [*range(1, len(pongs) + 1)]
    assert f"{len(pongs)} received, 0 lost" in client.stdout
    assert " 0 retries" not in client.stdout
    assert client.stderr == ""


def test_a_client_that_comes_first_waits_for_its_server(
    start: Start, endpoint: str
) -> None:
    client = start_client(start, endpoint, "--count", "5")
    client.wait_for("try 2")
    start_server(start, endpoint)
    assert_all_answered_after_retries(client, 5)


def test_a_killed_server_costs_time_but_no_ping(
    start: Start, endpoint: str
) -> None:
    first = start_server(start, endpoint)
    client = start_client(start, endpoint, "--count", "0")
    client.wait_for("seq=5 ")
    first.signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    client.wait_for("try 2")
    start_server(start, endpoint)
    assert_it_goes_on_and_loses_nothing(client)


def test_a_frozen_server_that_thaws_answers_each_ping_once(
    start: Start, endpoint: str
) -> None:
    server = start_server(start, endpoint)
    client = start_client(start, endpoint, "--count", "0")
    client.wait_for("seq=5 ")
    server.signal(signal.SIGSTOP)
    client.wait_for("try 3")
    server.signal(signal.SIGCONT)
    assert_it_goes_on_and_loses_nothing(client)


def test_without_a_server_the_client_gives_up_and_says_why(
    start: Start, endpoint: str
) -> None:
    client = start(
        *("pingpong", "client", "--connect", endpoint, "--count", "1"),
        *("--timeout", "0.1", "--retries", "2", "--json"),
    )
    assert client.wait() == 1
    report = json.loads(client.stdout)
    assert (report["sent"], report["lost"], report["retries"]) == (1, 1, 2)
    assert report["reasons"] == {
        "no answer in 3 tries of 100 ms; is a server listening?": 1
    }
    assert client.stderr == ""
