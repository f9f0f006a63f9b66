"""Impressions as nobody should send them: odd numbers, texts that mean something elsewhere, any formats at once."""

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

HOSTILE = (
    '"><script>alert(1)</script>', "]]><x/>", "${AUCTION_PRICE}", "%%CLICK_URL_UNESC%%", "{clickurl}", "@TOKEN@",
    "@FILLED@", "</iframe>", "\u2028\u2029", "<!--", "javascript:alert(1)", "\x00\x01", "&quot;",
    "[CACHEBUSTING]", "'+alert(1)+'", "`${x}`", "\\", "\n\r\t", "\u202e evil", "😀" * 100, "{{ title }}", "A" * 400,
)  # fmt: skip
NUMBERS: tuple[object, ...] = (
    0, 1, -1, 2, 3, 50, 300, 250, 728, 90, 640, 15, 30, 60, 2**31 - 1, 2**31, 2**53, -(2**31), 1.5, "300", "x", None,
    True, [],
)  # fmt: skip
USUAL = (300, 250, 728, 90, 15, 30, 60, 1, 2)

Json = dict[str, Any]


class OddImpressions:
    """Random impressions with unusual members; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def request(self) -> Json:
        """Unusual members of a request, besides its usual ones."""
        imps = [self._imp(number) for number in range(1, self.chance.randint(1, 4) + 1)]
        more = self._some({"at": self._number(), "badv": [self._text()], "wlang": [self._text()]}, 0.2)
        return {"imp": imps, "regs": {"gdpr": 0}, **more}

    def _number(self) -> object:
        return self.chance.choice(NUMBERS if self.chance.random() < 0.5 else USUAL)

    def _numbers(self, most: int = 4) -> object:
        return [self._number() for _ in range(self.chance.randint(0, most))] if self.chance.random() < 0.9 else None

    def _text(self) -> str:
        return self.chance.choice((*HOSTILE, "", "PLN", "a.example"))

    def _some(self, members: Mapping[str, object], share: float) -> Json:
        return {name: value for name, value in members.items() if self.chance.random() < share}

    def _each(self, names: Sequence[str], share: float) -> Json:
        return self._some({name: self._number() for name in names}, share)

    def _imp(self, number: int) -> Json:
        chance = self.chance
        formats = {"banner": self._banner(), "video": self._spot(), "audio": self._spot(), "native": self._native()}
        imp = {"id": str(number), **self._some(formats, 0.5), **self._each(("secure", "instl", "exp", "rwdd"), 0.2)}
        if chance.random() < 0.3:
            imp |= {
                "bidfloor": chance.choice((0, 0.01, -5, 1e9, "x")),
                "bidfloorcur": chance.choice(("PLN", "USD", "XYZ")),
            }
        if chance.random() < 0.1:
            imp["qty"] = {"multiplier": chance.choice((1, 0.3, 12.5, 0, -1, 1e9))}
        return imp

    def _banner(self) -> Json:
        sizes = ("w", "h", "wmin", "wmax", "hmin", "hmax")
        flexible = [self._each(("w", "h", "wratio", "hratio", "wmin"), 0.6) for _ in range(self.chance.randint(0, 4))]
        lists = {name: self._numbers() for name in ("battr", "btype", "api", "expdir")}
        usual = {"w": 300, "h": 250} if self.chance.random() < 0.6 else {}
        return {**self._each(sizes, 0.3), **self._some({"format": flexible, **lists}, 0.3), **usual}

    def _spot(self) -> Json:
        numbers = (
            "minduration", "maxduration", "podseq", "slotinpod", "poddur", "maxseq", "skip", "maxextended", "w", "h",
            "minbitrate", "maxbitrate", "linearity", "startdelay", "boxingallowed",
        )  # fmt: skip
        floors = [self._each(("mindur", "maxdur", "bidfloor"), 0.7) for _ in range(self.chance.randint(0, 3))]
        members = {
            "rqddurs": self._numbers(20), "podid": self._text(), "poddedupe": self._numbers(), "durfloors": floors,
            "mincpmpersec": self.chance.choice((0, 0.01, -1, "x", 1e9)), "battr": self._numbers(),
            "api": self._numbers(), "protocols": self.chance.choice(([2, 3, 7, 11, 13], self._numbers())),
            "companiontype": self._numbers(),
            "companionad": [self._banner() for _ in range(self.chance.randint(0, 3))],
        }  # fmt: skip
        mimes = ["video/mp4", "video/webm", "audio/mpeg", "audio/mp4"] if self.chance.random() < 0.9 else [self._text()]
        return {**self._each(numbers, 0.25), **self._some(members, 0.3), "mimes": mimes}

    def _native(self) -> Json:
        assets = [self._asset(number) for number in range(self.chance.randint(1, 6))]
        trackers = [self._some({"event": self._number(), "methods": self._numbers()}, 0.8) for _ in range(2)]
        asked = {"assets": assets, **self._some({"ver": "1.2", "eventtrackers": trackers, "privacy": 1}, 0.5)}
        form = self.chance.choice((json.dumps(asked), json.dumps({"native": asked}), asked))
        return {"request": form, **self._some({"battr": self._numbers(), "api": self._numbers()}, 0.3)}

    def _asset(self, number: int) -> Json:
        chance = self.chance
        asset: Json = {"id": chance.choice((number, number, number, 1)), "required": chance.choice((0, 0, 1))}
        match chance.choice(("title", "title", "img", "data", "video")):
            case "title":
                asset["title"] = {"len": chance.choice((90, 140, self._number()))}
            case "img":
                asset["img"] = {"type": chance.choice((1, 3)), **self._each(("w", "h", "wmin", "hmin"), 0.4)}
            case "data":
                asset["data"] = {"type": chance.randint(1, 12), "len": chance.choice((90, self._number()))}
            case _:
                asset["video"] = {"mimes": ["video/mp4"], "minduration": 1, "maxduration": 30, "protocols": [2]}
        return asset
