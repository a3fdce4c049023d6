"""The containers ask of the command line only what it can do.

There may be no engine to run them on, so this reads the two files and holds
each command and each variable in them against the program itself.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from image_pipeline.cli.main import main
from tests.support import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
ROLES = ("ventilator", "sink", "worker")


def variables_of(command: click.Command) -> set[str]:
    """Return the variables that `command` reads."""
    assert command.name
    return {
        str(parameter.envvar)
        if parameter.envvar
        else f"IMAGE_PIPELINE_{command.name}_{parameter.name}".upper()
        for parameter in command.params
    }


@pytest.mark.parametrize("role", ROLES)
def test_a_container_sets_only_variables_that_its_command_reads(
    role: str,
) -> None:
    service = COMPOSE["services"][role]
    assert service["command"] == [role]
    known = variables_of(main.commands[role])
    assert set(service["environment"]) <= known


@pytest.mark.parametrize("role", ROLES)
def test_a_container_needs_no_argument_and_its_values_are_accepted(
    role: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = main.commands[role]
    for name, value in COMPOSE["services"][role]["environment"].items():
        # Folders exist in the container; here each is a temporary one.
        here = str(tmp_path) if value.startswith("/") else value
        monkeypatch.setenv(name, here)
    parent = click.Context(main, auto_envvar_prefix="IMAGE_PIPELINE")
    context = command.make_context(role, [], parent=parent)
    assert context.params["keys"] == tmp_path


def test_variables_that_no_command_reads_would_be_noticed() -> None:
    assert "IMAGE_PIPELINE_WORKER_TASK" not in variables_of(
        main.commands["worker"]
    )


@pytest.mark.parametrize("role", ROLES)
def test_a_container_runs_unprivileged_on_a_file_system_it_cannot_change(
    role: str,
) -> None:
    service = COMPOSE["services"][role]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert not service["user"].startswith(("0", "root"))


@pytest.mark.parametrize("role", ROLES)
def test_keys_reach_a_container_as_secrets_and_no_others_than_it_needs(
    role: str,
) -> None:
    needed = {"server.key", "client.key_secret"}
    if role != "worker":
        needed = {"server.key", "server.key_secret", "client.key"}
    assert set(COMPOSE["services"][role]["secrets"]) == needed
    for name in needed:
        assert COMPOSE["secrets"][name] == {"file": f"keys/{name}"}


def test_the_image_starts_the_program_as_somebody_who_is_not_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert 'ENTRYPOINT ["python", "-m", "image_pipeline"]' in lines
    user = next(line for line in lines if line.startswith("USER "))
    assert user == "USER 1000:1000"


def test_a_swarm_and_compose_both_take_the_file() -> None:
    """The trap: `docker stack deploy` refuses a file with a `name`."""
    assert "name" not in COMPOSE
    for service in COMPOSE["services"].values():
        assert service["deploy"]["endpoint_mode"] == "dnsrr"


@pytest.mark.skipif(
    not shutil.which("systemd-analyze") and not os.environ.get("CI"),
    reason="there is no systemd here",
)
def test_systemd_accepts_the_unit_of_a_worker(tmp_path: Path) -> None:
    unit = (ROOT / "worker@.service").read_text()
    (tmp_path / "worker@.service").write_text(unit)
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "worker@1.service"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert "worker@" not in done.stderr
