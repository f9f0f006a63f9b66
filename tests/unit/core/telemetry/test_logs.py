import io
import json
import logging
from collections.abc import Iterator

import pytest

from core.telemetry.logs import set_up_logging


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
