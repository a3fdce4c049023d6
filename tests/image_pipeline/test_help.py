"""What `--help` says is short, readable and true."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from image_pipeline.cli.main import main

COMMANDS = ("run", "ventilator", "worker", "sink", "keygen", "demo")


def said(*words: str) -> str:
    result = CliRunner().invoke(
        main, words, env={"COLUMNS": "80"}, terminal_width=80
    )
    assert result.exit_code == 0
    return result.output


def test_no_summary_of_a_command_is_cut_off() -> None:
    _, commands = said("-h").split("Commands:")
    for command in COMMANDS:
        assert command in commands
    assert "..." not in commands


@pytest.mark.parametrize("command", COMMANDS)
def test_limits_are_written_for_people(command: str) -> None:
    assert "<=" not in said(command, "--help")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_is_a_variable_under_its_own_name(command: str) -> None:
    for option in main.commands[command].params:
        if isinstance(option, click.Option):
            longest = max(option.opts, key=len).removeprefix("--")
            assert option.name == longest.replace("-", "_")


def test_a_variable_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("IMAGE_PIPELINE_RUN_SIZE", "64 12x34")
    parent = click.Context(main, auto_envvar_prefix="IMAGE_PIPELINE")
    context = main.commands["run"].make_context(
        "run", [str(tmp_path), str(tmp_path)], parent=parent
    )
    assert context.params["size"] == ("64", "12x34")


def test_the_version_is_told() -> None:
    assert said("--version").startswith("image_pipeline ")


def test_nan_is_no_number_of_seconds(tmp_path: Any) -> None:
    """The trap: it is neither below nor above any limit."""
    words = ("run", str(tmp_path), str(tmp_path / "dst"), "--timeout", "nan")
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "nan is not a number of seconds" in result.output
