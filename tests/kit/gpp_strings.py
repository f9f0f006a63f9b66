"""Writes GPP strings, to hold the reader against: from the layouts of the corpus, without code of the reader."""

from collections.abc import Mapping, Sequence

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

Field = tuple[str, int, int]
"""Name, bits, and how often the field comes: as in gpp_layouts.json."""


def encoded(bits: str) -> str:
    """Six bits a character, filled with zeros to whole bytes first as encoders do."""
    filled = bits + "0" * (-len(bits) % 8)
    filled += "0" * (-len(filled) % 6)
    return "".join(ALPHABET[int(filled[at : at + 6], 2)] for at in range(0, len(filled), 6))


def fibonacci(number: int) -> str:
    """Zeckendorf's sum of Fibonacci numbers, the smallest first, and a one that ends it."""
    terms = [1, 2]
    while terms[-1] <= number:
        terms.append(terms[-1] + terms[-2])
    bits, rest = "", number
    for term in reversed(terms):
        taken = term <= rest
        rest -= term * taken
        bits = ("1" if taken else "0") + bits
    return bits.rstrip("0") + "1"


def header(ids: Sequence[int]) -> str:
    """The header that names ascending section ids, neighbours as ranges."""
    spans: list[list[int]] = []
    for number in ids:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    bits, last = "", 0
    for first, end in spans:
        bits += "1" + fibonacci(first - last) + fibonacci(end - first) if end > first else "0" + fibonacci(first - last)
        last = end
    return encoded(f"{3:06b}{1:06b}{len(spans):012b}{bits}")


def core_bits(fields: Sequence[Field], values: Mapping[str, Sequence[int]]) -> str:
    """The bits of a section's core; a field that `values` leaves out is zero."""
    return "".join(f"{value:0{width}b}" for name, width, times in fields for value in values.get(name, [0] * times))


def section(bits: str, gpc: bool | None) -> str:
    """A section's text; `gpc` None leaves the sub-section out."""
    return encoded(bits) + ("" if gpc is None else "." + encoded("01" + ("1" if gpc else "0")))
