"""JSON of events as senders really write it: what one string or number has wrong does not cost the rest of the batch.

A body that is JSON takes one fast pass. Another one is read again leniently: bytes that are no UTF-8 and lone halves of
surrogate pairs become U+FFFD, `NaN` and numbers beyond a double stay numbers that the check of their field refuses,
line ends inside of a text are a part of it, and a backslash that escapes nothing goes (`\\'`, as some templates write).
"""

import codecs
import json
import math
import re
from typing import Any, Final

import orjson

from core.errors import Fault, InputError

_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_ESCAPE: Final = re.compile(r'(\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))|\\')
# Longer ones are no ids and no prices; turning them into numbers costs quadratic time.
_MAX_DIGITS: Final = 300


def read_json(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """The value of a body, which may begin with a byte order mark. Raises InputError for what is no JSON at all."""
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return _read_leniently(body, str(error))


def _read_leniently(body: bytes, said: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        text = body.decode("utf-8", errors="replace")
        try:
            value = _loads(text)
        except json.JSONDecodeError as error:
            if "escape" not in error.msg:
                raise
            value = _loads(_ESCAPE.sub(r"\1", text))
        return _readable(value)
    except RecursionError:
        raise InputError("nested too deeply", faults=[Fault("", "json", "nested too deeply")]) from None
    except ValueError:
        raise InputError(f"not JSON: {said}", faults=[Fault("", "json", said)]) from None


def _loads(text: str) -> object:
    return json.loads(text, parse_int=_integer, strict=False)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else math.inf


def _readable(value: object) -> object:
    """The value with every text as it can be encoded again."""
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_LONE_SURROGATE.sub("\ufffd", name): _readable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_readable(inner) for inner in value]
    return value
