import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from core.telemetry.logs import WITHOUT_CONTENT, set_up_logging


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    set_up_logging("tracker", "info", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def test_line_is_one_json_object_with_its_fields(output: io.StringIO) -> None:
    logging.getLogger("grosz.role").warning("went %s", "wrong", extra={"fields": {"child": "bidder-1", "seconds": 1.5}})
    (line,) = output.getvalue().splitlines()
    entry = json.loads(line)
    assert entry["message"] == "went wrong"
    assert entry["level"] == "warning"
    assert entry["role"] == "tracker"
    assert entry["child"] == "bidder-1"
    assert entry["seconds"] == 1.5
    assert entry["time"].endswith("+00:00")


def test_traceback_stays_in_its_line(output: io.StringIO) -> None:
    try:
        raise ValueError("no such thing")
    except ValueError:
        logging.getLogger("grosz").exception("failed")
    (line,) = output.getvalue().splitlines()
    assert "ValueError: no such thing" in json.loads(line)["exception"]


def test_field_cannot_change_what_the_line_says_about_itself(output: io.StringIO) -> None:
    logging.getLogger("grosz").info("hello", extra={"fields": {"level": "error", "odd": {1, 2} - {2}}})
    entry = json.loads(output.getvalue())
    assert entry["level"] == "info"
    assert "odd" in entry


def test_chatter_below_the_level_and_of_libraries_is_left_out(output: io.StringIO) -> None:
    logging.getLogger("grosz").debug("detail")
    logging.getLogger("asyncio").info("selector")
    assert output.getvalue() == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_person_at_a_terminal_reads_short_lines(restored: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    set_up_logging("tracker", "info", terminal)
    fields = {"child": "bidder-1", "settings": {"much": 1}, "long": "x" * 500}
    logging.getLogger("grosz.role").warning("went wrong", extra={"fields": fields})
    (line,) = terminal.getvalue().splitlines()
    assert re.sub(r"\x1b\[\d*m", "", line)[8:] == " tracker    went wrong  child bidder-1"
    assert "\x1b[33m" in line


@pytest.mark.parametrize(("form", "is_json"), [("json", True), ("text", False), ("auto", False)])
def test_json_is_had_at_a_terminal_when_asked_for(
    restored: None, monkeypatch: pytest.MonkeyPatch, form: str, is_json: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    set_up_logging("tracker", "info", terminal, form)
    logging.getLogger("grosz").info("here")
    assert terminal.getvalue().startswith("{") is is_json
    assert "\x1b" not in terminal.getvalue()


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.usefixtures("output")
def test_a_private_error_is_told_without_its_words(form: str) -> None:
    stream = io.StringIO()
    set_up_logging("admin", "info", stream, form)
    log = logging.getLogger("grosz.test")
    error = KeyError("secret-2")
    error.__cause__ = ValueError("secret-1")
    log.error("a request failed", exc_info=error, extra=WITHOUT_CONTENT)
    log.error("a loop failed", exc_info=error)
    private, told = stream.getvalue().split("a loop failed")
    assert "secret" not in private
    assert "builtins.KeyError" in private
    assert "builtins.ValueError" in private
    assert "secret-2" in told
