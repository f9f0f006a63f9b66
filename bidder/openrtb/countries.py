"""Country codes: OpenRTB asks for ISO 3166-1 alpha-3 (2.6 section 3.2.19); live traffic also sends alpha-2 and numeric
codes, `UK` and `EL`, and names. The table (countries.tsv) has the codes of ISO 3166-1 and Kosovo's user-assigned one.
"""

import importlib.resources
import re
import unicodedata


def _plain(text: str) -> str:
    """A name without case, accents and marks: `Österreich` and `OSTERREICH` are one."""
    spread = unicodedata.normalize("NFKD", text.casefold())
    return re.sub(r"[\W_]+", " ", "".join(letter for letter in spread if not unicodedata.combining(letter))).strip()


def _read_table() -> dict[str, str]:
    """Every form of every country, made plain, and the alpha-3 code that it means."""
    forms: dict[str, str] = {}
    table = importlib.resources.files("bidder.openrtb").joinpath("countries.tsv").read_text(encoding="utf-8")
    for line in table.splitlines()[1:]:
        alpha2, alpha3, numeric, names = line.split("\t")
        for form in (alpha2, alpha3, numeric, numeric.lstrip("0"), *names.split("|")):
            if form:
                forms[_plain(form)] = alpha3
    return forms


_FORMS = _read_table()
_ALPHA_3 = frozenset(_FORMS.values())
# The longest name has 52 characters; what is longer is none, and not worth making plain.
_MAX_CHARS = 64


def alpha_3(code: str | None) -> str | None:
    """The alpha-3 code of a country in any of its forms, in any case; None for anything else."""
    if not code:
        return None
    if code in _ALPHA_3:
        return code
    return _FORMS.get(_plain(code)) if len(code) <= _MAX_CHARS else None
