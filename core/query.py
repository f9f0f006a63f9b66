"""Values in the query of a URL that no form has written: exchanges and pixels percent-encode, and `+` means itself.

A form's encoding turns `+` into a space. A price of `1.2E+1` or an id in base64 is not meant so.
"""

from collections.abc import Iterator
from urllib.parse import unquote


def query_pairs(query: str) -> Iterator[tuple[str, str]]:
    """Names and values in their order, percent-decoded; a name without `=` has the value ''."""
    for part in query.split("&"):
        name, _, value = part.partition("=")
        yield (unquote(name), unquote(value)) if "%" in part else (name, value)


def query_values(query: str) -> dict[str, str]:
    """The first value of each name, as in `query_pairs`."""
    values: dict[str, str] = {}
    for name, value in query_pairs(query):
        values.setdefault(name, value)
    return values
