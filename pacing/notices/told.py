"""What an exchange filled into a notice beside its price: the price to win, why a bid lost."""

MAX_TOLD_CPM = 1e6

# Loss codes of OpenRTB go to 499; exchanges add their own above. Higher ones are counted together.
MAX_LOSS_CODE = 1_000


def cpm_of(text: str | None) -> int | None:
    """CPM micros of a price that an exchange filled in; None where it did not."""
    try:
        cpm = float(text or "nan")
    except ValueError:
        return None
    return round(cpm * 1e6) if 0.0 <= cpm <= MAX_TOLD_CPM else None


def loss_code_of(text: str | None) -> str:
    """The code as a label of metrics: digits, or `other`."""
    if text and text.isascii() and text.isdigit() and int(text[:9]) < MAX_LOSS_CODE:
        return str(int(text))
    return "other"
