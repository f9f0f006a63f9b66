"""TCF v2 consent strings as a consent platform writes them, for the consent states that traffic should have.

Own encoder: strings made by the code under test would prove nothing. Layout: IAB "Consent string and vendor list
formats v2", policy version 5; all vendors from 1 upwards consent, so the strings hold for whichever vendor number
the bidder has.
"""

import base64

# The highest vendor of a platform that asks for the whole vendor list; in 2026 the list's is a little above this.
HIGHEST_VENDOR = 1600

_CORE_VERSION = 2
_POLICY_VERSION = 5
_PLATFORM_ID = 300
_VENDOR_LIST_VERSION = 150
_DISCLOSED_VENDORS_SEGMENT = 1

ALL_PURPOSES = (1, 2, 3, 4, 7, 9, 10)


class _Bits:
    """Collects fields, most significant bit first."""

    def __init__(self) -> None:
        self._text: list[str] = []

    def put(self, value: int, width: int) -> None:
        self._text.append(f"{value:0{width}b}")

    def letters(self, text: str) -> None:
        for letter in text:
            self.put(ord(letter.upper()) - ord("A"), 6)

    def numbers(self, numbers: tuple[int, ...], width: int) -> None:
        """A bit field in which the n-th bit stands for number n."""
        self._text.append("".join("1" if number in numbers else "0" for number in range(1, width + 1)))

    def vendors(self, highest: int) -> None:
        """Vendors 1 to `highest` as a bit field, which is what platforms send for a list this dense; 0: none."""
        self.put(highest, 16)
        self.put(0, 1)
        self._text.append("1" * highest)

    def encoded(self) -> str:
        bits = "".join(self._text)
        bits += "0" * (-len(bits) % 8)
        raw = int(bits, 2).to_bytes(len(bits) // 8, "big")
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def consent_string(purposes: tuple[int, ...], highest_vendor: int, now_ms: int) -> str:
    """A string that gives the purposes and all vendors up to `highest_vendor` (0: none) consent, made at `now_ms`."""
    bits = _Bits()
    bits.put(_CORE_VERSION, 6)
    decisecond = now_ms // 86_400_000 * 864_000  # the policy asks for the day only
    bits.put(decisecond, 36)
    bits.put(decisecond, 36)
    bits.put(_PLATFORM_ID, 12)
    bits.put(1, 12)
    bits.put(1, 6)  # screen
    bits.letters("PL")
    bits.put(_VENDOR_LIST_VERSION, 12)
    bits.put(_POLICY_VERSION, 6)
    bits.put(1, 1)  # service-specific: the only kind that is valid today
    bits.put(0, 1)
    bits.numbers((), 12)
    bits.numbers(purposes, 24)
    bits.numbers((), 24)
    bits.put(0, 1)
    bits.letters("PL")
    bits.vendors(highest_vendor)
    bits.vendors(0)
    bits.put(0, 12)  # no publisher restrictions
    disclosed = _Bits()
    disclosed.put(_DISCLOSED_VENDORS_SEGMENT, 3)
    disclosed.vendors(HIGHEST_VENDOR)
    return f"{bits.encoded()}.{disclosed.encoded()}"
