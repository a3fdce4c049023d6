"""What a plugin printed last is known, however busy the machine is."""

import logging
import os

import pytest

from plugin_system.host.output import MAX_LINE_BYTES, OutputReader, Stream


@pytest.mark.parametrize("ended", [True, False])
def test_last_words_are_read_though_the_reader_never_came_to_them(
    ended: bool,
) -> None:
    """The trap: its thread is one of many, and the pipe is about to close.

    Nor is an end of file waited for, which a grandchild may keep away.
    """
    reader = OutputReader()
    ours, plugins = os.pipe()
    stream = Stream(
        os.fdopen(ours, "rb", 0), "text", logging.WARNING, reader.lines
    )
    os.write(plugins, b"farewell\ngoodbye")
    if ended:
        os.close(plugins)

    reader.drop(stream)

    assert stream.last_lines() == ["farewell", "goodbye"]
    assert stream.pipe.closed
    reader.close()
    if not ended:
        os.close(plugins)


def test_a_long_line_is_logged_in_pieces_and_whole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "plugin_system.plugin.text")
    reader = OutputReader()
    ours, plugins = os.pipe()
    stream = Stream(
        os.fdopen(ours, "rb", 0), "text", logging.INFO, reader.lines
    )
    line = "".join(str(number) for number in range(MAX_LINE_BYTES))
    for text in (line, "\n\nend\n"):
        os.write(plugins, text.encode())
    os.close(plugins)

    reader.drop(stream)
    reader.close()

    assert "".join(caplog.messages) == line + "end"
    assert "" in caplog.messages  # an empty line is a line
    assert max(map(len, caplog.messages)) <= MAX_LINE_BYTES
