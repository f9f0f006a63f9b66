import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from segments.events.reading import read_json


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": "\\ud800x"}', {"a": "\ufffdx"}),
        (b'{"\\udc00": 1}', {"\ufffd": 1}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"a": "\xe9t\xe9"}', {"a": "\ufffdt\ufffd"}),
        (b'[{"a": Infinity}, {"a": 1e999}]', [{"a": math.inf}, {"a": math.inf}]),
        (b'{"a": ' + b"9" * 5000 + b"}", {"a": math.inf}),
        (b'[["\\ud800"]]', [["\ufffd"]]),
        (b'[{"a": "two\nlines\t\x01"}, {"b": 1}]', [{"a": "two\nlines\t\x01"}, {"b": 1}]),
        (rb'[{"a": "d\'Or"}, {"b": "\\\" \/ \n"}]', [{"a": "d'Or"}, {"b": '\\" / \n'}]),
        (rb'{"a": "\x41 \u12 \u0041 c:\dir"}', {"a": "x41 u12 A c:dir"}),
    ],
)
def test_what_can_be_read_is_read(body: bytes, value: object) -> None:
    assert read_json(body) == value


def test_nan_is_a_number_that_its_field_refuses() -> None:
    assert math.isnan(read_json(b'{"a": NaN}')["a"])


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"a": 1,}', b"[" * 100_000, b'{"a":' * 900 + b"NaN" + b"}" * 900, b"\xff\xfe"]
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(InputError) as caught:
        read_json(body)
    assert caught.value.faults


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()), st.lists, max_leaves=5
    )
)
def test_whatever_a_lenient_writer_prints_can_be_encoded_again(value: object) -> None:
    json.dumps(read_json(json.dumps(value).encode("utf-8", "surrogatepass")), ensure_ascii=False).encode("utf-8")
