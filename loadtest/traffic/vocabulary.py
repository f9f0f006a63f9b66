"""The words of made traffic: the Polish e-commerce profile. Shares are plausible round figures, not measurements.

Every site is under `.example` (RFC 2606): a load test must not name real publishers.
"""

# (width, height, weight) of a banner slot
BANNER_SIZES = (
    (300, 250, 30), (320, 100, 10), (320, 50, 12), (336, 280, 9), (728, 90, 9), (970, 250, 6), (300, 600, 8),
    (160, 600, 5), (750, 200, 4), (750, 300, 3), (468, 60, 2), (970, 90, 2),
)  # fmt: skip

# What an ad server adds to a slot of the size as further possible formats.
ALTERNATIVE_SIZES = {
    (300, 250): ((336, 280),),
    (336, 280): ((300, 250),),
    (728, 90): ((468, 60), (750, 100)),
    (970, 250): ((750, 200), (750, 300), (970, 90)),
    (300, 600): ((160, 600), (300, 250)),
    (320, 100): ((320, 50),),
}

SECTIONS = (
    ("wiadomosci", "IAB12", 26), ("sport", "IAB17", 16), ("pogoda", "IAB15-10", 9), ("plotki", "IAB1", 11),
    ("moda", "IAB18", 8), ("motoryzacja", "IAB2", 6), ("gotowanie", "IAB8", 6), ("dom-i-ogrod", "IAB10", 5),
    ("rodzice", "IAB6", 4), ("zdrowie", "IAB7", 4), ("gry", "IAB9-30", 3), ("technologie", "IAB19", 2),
)  # fmt: skip

PAGE_WORDS = (
    "buty", "szpilki", "sukienka", "torebka", "kurtka", "promocja", "poradnik", "ranking", "test", "jesien", "zima",
    "wyprzedaz", "prezent", "biegowe", "rower", "telefon", "laptop", "ekspres", "kanapa", "dywan", "ogrod", "przepis",
    "mecz", "liga", "premiera", "wywiad", "opinie", "nowosci", "trendy", "styl",
)  # fmt: skip

# region (ISO 3166-2 suffix), city, postcode, latitude, longitude, weight
PLACES = (
    ("MZ", "Warszawa", "00-001", 52.23, 21.01, 24), ("MA", "Kraków", "30-001", 50.06, 19.94, 11),
    ("DS", "Wrocław", "50-001", 51.11, 17.04, 10), ("LD", "Łódź", "90-001", 51.77, 19.46, 8),
    ("WP", "Poznań", "60-001", 52.41, 16.93, 9), ("PM", "Gdańsk", "80-001", 54.35, 18.65, 8),
    ("SL", "Katowice", "40-001", 50.26, 19.02, 12), ("LU", "Lublin", "20-001", 51.25, 22.57, 5),
    ("ZP", "Szczecin", "70-001", 53.43, 14.55, 5), ("PD", "Białystok", "15-001", 53.13, 23.16, 4),
    ("KP", "Bydgoszcz", "85-001", 53.12, 18.01, 4),
)  # fmt: skip

_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
_WINDOWS = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT}"

# user agent, device type (AdCOM), family, version, weight
MOBILE_AGENTS = (
    (f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} Chrome/141.0.0.0 Mobile Safari/537.36", 4, "Android", "15", 62),
    (f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) {_APPLE} Version/18.6 Mobile/15E148 Safari/604.1",
     4, "iOS", "18.6", 20),
    (f"Mozilla/5.0 (Linux; Android 14; SM-A546B) {_WEBKIT} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
     4, "Android", "14", 12),
    (f"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) {_APPLE} Version/18.5 Mobile/15E148 Safari/604.1",
     5, "iOS", "18.5", 6),
)  # fmt: skip

DESKTOP_AGENTS = (
    (f"{_WINDOWS} Chrome/141.0.0.0 Safari/537.36", 2, "Windows", "10", 58),
    (f"{_WINDOWS} Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0", 2, "Windows", "11", 13),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0", 2, "Windows", "10", 14),
    (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_APPLE} Version/18.6 Safari/605.1.15",
     2, "macOS", "10.15.7", 7),
    (f"{_WINDOWS} Chrome/140.0.0.0 Safari/537.36 OPR/122.0.0.0", 2, "Windows", "10", 8),
)  # fmt: skip

APPS = (
    ("example.pogoda.lite", "Pogoda Lite", "IAB15-10"), ("example.gra.kulki", "Kulki", "IAB9-30"),
    ("example.przepisy", "Przepisy", "IAB8"), ("example.radio", "Radio", "IAB1-6"),
    ("example.krzyzowki", "Krzyżówki", "IAB9-5"),
)  # fmt: skip

BLOCKED_CATEGORIES = (
    "IAB7-39", "IAB7-42", "IAB8-5", "IAB8-18", "IAB9-9", "IAB14-1", "IAB14-3", "IAB11-5", "IAB13-5", "IAB13-7",
    "IAB23-2", "IAB23-9", "IAB24", "IAB25-1", "IAB25-2", "IAB25-3", "IAB25-4", "IAB25-5", "IAB25-7", "IAB26",
)  # fmt: skip
BLOCKED_DOMAINS = (
    "kasyno.example", "chwilowki.example", "tabletki.example", "konkurent.example",
    *(f"zablokowany-{number}.example" for number in range(40)),
)  # fmt: skip

ID_SOURCES = ("id5-sync.example", "uidapi.example", "liveramp.example", "criteo.example", "netid.example")
SELLERS = ("ssp-one.example", "ssp-two.example", "wrapper.example")
