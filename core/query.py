"""Values in the query of a URL that no form has written: exchanges and pixels percent-encode, and `+` means itself.

A form's encoding turns `+` into a space. A price of `1.2E+1` or an id in base64 is not meant so.
"""

from urllib.parse import unquote


def query_values(query: str) -> dict[str, str]:
    """The first value of each name, percent-decoded; a name without `=` has the value ''."""
    values: dict[str, str] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if "%" in part:
            name, value = unquote(name), unquote(value)
        values.setdefault(name, value)
    return values
