"""Makes a data directory by running an older Grosz, for tests/e2e/upgrade: a black box that is spoken to over HTTP.

    git worktree add /tmp/old COMMIT && (cd /tmp/old && scripts/test --version)
    python tests/e2e/upgrade/make_data.py /tmp/old tests/e2e/upgrade/COMMIT.tar.xz

The checkout's `grosz up` takes events of two shops, bids on four exchanges, settles some of its bids and is ended by
SIGTERM. The archive has its data directory as it was left (`data/`), what it said meanwhile (`expected.json`: which
bids it made, which notices it answered, what its own commands told of ledger, audit and users), and the modules of its
bidder role (`program/`), which a test runs beside a bidder of today.

The checkout is told in SQL to keep profiles for twenty years, longer than its API allows: otherwise Redis would drop
them, and the archive would be empty one day. Everything else is as users have it.
"""

import argparse
import http.client
import json
import os
import random
import sqlite3
import subprocess
import tarfile
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KEPT_DAYS = 20 * 365
USERS = 24
SEED = 20261129
AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0"
EXCHANGES = ("bills", "wins", "pixels", "firsts")
THEIRS = "theirs-1"  # what the exchange `bills` calls the first user
CURRENCIES = {1: "PLN", 2: "EUR"}


def catalogue() -> dict[str, Any]:
    """Two shops in two currencies, exchanges of every billing event and clearing, line items of every reach."""
    parts = [shop(number) for number in CURRENCIES]
    return {
        "format": "grosz-catalogue/1",
        "fx_rates": {"USD": "3.64", "EUR": "4.27"},
        "exchanges": [
            {"id": 1, "key": "bills", "seat": "grosz", "default_currency": "PLN", "billing_event": "bill"},
            {"id": 2, "key": "wins", "seat": "grosz", "default_currency": "PLN", "billing_event": "win"},
            {"id": 3, "key": "pixels", "default_currency": "PLN", "billing_event": "impression", "clearing": "house"},
            {"id": 4, "key": "firsts", "default_currency": "PLN", "billing_event": "bill", "first_price": True},
        ],
        **{name: [each for part in parts for each in part[name]] for name in parts[0]},
    }


def shop(number: int) -> dict[str, list[dict[str, Any]]]:
    """One shop; ids are its number times a hundred and up."""
    first, currency, domain = 100 * number, CURRENCIES[number], f"shop{number}.example"
    rules = (
        'viewed category "shoes*"',
        "purchases.count >= 1",
        f"cart.value >= 50 {currency} and cart.age in 1h..14d and not purchased since cart",
        "last_visit in 365d",
        'attribute.loyalty_tier = "gold"',
    )
    reach: tuple[tuple[str, str, float, dict[str, list[int]]], ...] = (
        ("everybody", "cpm", 2.00, {}),
        ("shoes", "cpm", 4.00, {"segments_any": [first], "segments_none": [first + 1]}),
        ("carts", "cpa", 600.00, {"segments_any": [first + 2], "segments_none": [first + 1]}),
        ("visitors", "cpm", 3.00, {"segments_any": [first + 3], "segments_none": [first, first + 1]}),
        ("customers in gold", "cpm", 5.00, {"segments_all": [first + 1, first + 4]}),
        ("customers", "cpm", 4.50, {"segments_any": [first + 1]}),
    )
    unit = 1.0 if currency == "PLN" else 0.25  # about the same price in either currency
    return {
        "advertisers": [{"id": number, "name": f"shop {number}", "domain": domain, "currency": currency}],
        "campaigns": [
            {"id": first, "advertiser_id": number, "name": "all", "total_budget": {"spend": {"amount": "900.00"}}}
        ],
        "segments": [
            {"id": first + place, "advertiser_id": number, "name": rule, "rule": rule}
            for place, rule in enumerate(rules)
        ],
        "creatives": [
            {
                "id": first, "advertiser_id": number, "name": "ad", "width": 300, "height": 250,
                "html": '<a href="${CLICK_URL}">ad</a>', "landing_url": f"https://{domain}/",
                "advertiser_domain": domain,
            }
        ],
        "line_items": [
            {
                "id": first + place, "advertiser_id": number, "campaign_id": first, "name": name, "goal": goal,
                "bid": {"amount": f"{unit * bid:.2f}"}, "max_cpm": {"amount": f"{unit * 9:.2f}"},
                "creative_ids": [first], "pacing": "asap",
                "targeting": targeting, "daily_budget": {"spend": {"amount": "50.00"}},
                **({"cart": {"delay_s": 3600}} if goal == "cpa" else {}),
            }
            for place, (name, goal, bid, targeting) in enumerate(reach)
        ],
    }  # fmt: skip


def user_ids() -> list[str]:
    """Cookie values: 22 characters that stand for 128 bits, so the last is one of four."""
    draw = random.Random(SEED)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return ["".join(draw.choices(alphabet, k=21)) + draw.choice("AQgw") for _ in range(USERS)]


def history(place: int, user: str, now_s: int) -> dict[int, list[dict[str, Any]]]:
    """By shop what the user did there; what they do depends on their place in the list alone."""
    shops = (1,) if place % 3 == 0 else (2,) if place % 3 == 1 else (1, 2)
    found: dict[int, list[dict[str, Any]]] = {}
    for number in shops:
        kind, currency = (place // 3 + number) % 6, CURRENCIES[number]
        common = {"user_id": user, "gdpr": 0, "currency": currency}
        shoes = {"item_id": f"shoe-{place}", "item_category": "shoes/high", "price": 120.5}
        lamp = {"item_id": f"lamp-{place % 5}", "item_category": "lamps", "price": 80, "quantity": 2}
        ago = [now_s - 86_400 * day for day in (40, 9, 2, 1)]
        events: list[dict[str, Any]] = [{"event": "page_view", "url": f"https://shop{number}.example/", "time": ago[0]}]
        if kind in (1, 2, 4):
            events.append({"event": "view_item", "items": [shoes], "time": ago[1]})
        if kind in (2, 3, 4):
            events.append({"event": "add_to_cart", "items": [shoes, lamp], "value": 280.5, "time": ago[2]})
        if kind in (4, 5):
            events.append(
                {"event": "purchase", "transaction_id": f"t-{number}-{place}", "value": 200, "items": [lamp],
                 "time": ago[3], "attributes": {"loyalty_tier": "gold" if place % 2 else "tin"}}
            )  # fmt: skip
        if kind == 2:
            digest = f"{place // 6:064x}"
            events.append({"event": "login", "email_sha256": digest, "time": ago[3] + 60})
        found[number] = [common | event for event in events]
    return found


class OldGrosz:
    """`grosz` of the checkout, on a data directory."""

    def __init__(self, checkout: Path, data: Path) -> None:
        self._checkout, self._data = checkout, data
        self._python = checkout / ".venv" / "bin" / "python"
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("GROSZ_")}
        self._up: subprocess.Popen[str] | None = None
        self.urls: dict[str, str] = {}

    def command(self, *arguments: str, fails: bool = False) -> str:
        """Standard output of a command; one that fails ends the script unless it may."""
        done = subprocess.run(
            [self._python, "-m", "admin.cli", *arguments, "--data", str(self._data)],
            cwd=self._checkout, env=self._environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode and not fails:
            raise SystemExit(f"grosz {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout

    def start(self) -> None:
        ports = ("--bid-port", "0", "--track-port", "0", "--admin-port", "0")
        self._up = subprocess.Popen(
            [self._python, "-m", "admin.cli", "up", "--data", str(self._data), *ports, "--workers", "1"],
            cwd=self._checkout, env=self._environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._up.stdout is not None
        word, *places = self._up.stdout.readline().split() or [""]
        if word != "ready":
            raise SystemExit("the old Grosz did not come up")
        self.urls = dict(place.split("=", 1) for place in places)

    def stop(self) -> None:
        assert self._up is not None
        self._up.terminate()
        if self._up.wait():
            raise SystemExit("the old Grosz did not end well")


def call(url: str, body: object = None, **headers: str) -> tuple[int, bytes]:
    """Status and content; without a body a GET. Redirects are not followed."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)
    try:
        connection.request(
            "GET" if body is None else "POST",
            urllib.parse.urlunsplit(("", "", parts.path, parts.query, "")),
            None if body is None else json.dumps(body).encode(),
            {"User-Agent": AGENT, "Content-Type": "application/json", **headers},
        )
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def send_events(old: OldGrosz, secret: str, users: list[str], now_s: int) -> None:
    for number in CURRENCIES:
        for place, user in enumerate(users):
            batch = history(place, user, now_s).get(number)
            if batch:
                status, answer = call(f"{old.urls['track']}/e/{number}", {"events": batch}, **{"X-API-Key": secret})
                results = json.loads(answer)["results"] if status == 200 else []
                if {result["status"] for result in results} != {"accepted"}:
                    raise SystemExit(f"{user}: {status} {answer!r}")


def request_of(number: int, user: str, exchange: str) -> dict[str, Any]:
    return {
        "id": f"{exchange}-{number}", "at": 1 if exchange == "firsts" else 2, "tmax": 1000, "cur": ["PLN"],
        "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 1.0, "bidfloorcur": "PLN"}],
        "site": {"domain": "news.example", "page": "https://news.example/a"},
        "user": {"id": user} if user == THEIRS else {"buyeruid": user},
        "regs": {"gdpr": 0},
    }  # fmt: skip


def bids(old: OldGrosz, users: list[str]) -> Iterator[dict[str, Any]]:
    """What each user is bid on each exchange, with the request."""
    for exchange in EXCHANGES:
        for number, user in enumerate([*users, THEIRS] if exchange == "bills" else users):
            request = request_of(number, user, exchange)
            for _ in range(200):  # a lease grows within a second
                status, answer = call(f"{old.urls['bid']}/openrtb2/{exchange}", request)
                if status == 200:
                    break
                time.sleep(0.05)
            else:
                raise SystemExit(f"no bid for {user} on {exchange}")
            (bid,) = [bid for seat in json.loads(answer)["seatbid"] for bid in seat["bid"]]
            yield {"exchange": exchange, "user": user, "at_s": time.time(), "request": request, "bid": bid}


def notice(bid: dict[str, Any], name: str, price: str) -> str:
    """A URL of the bid with its macros filled in; `pixel` and `click` are taken from the markup."""
    if name == "pixel":
        url = str(bid["adm"]).split('src="', 1)[1].split('"', 1)[0].replace("&amp;", "&")
    elif name == "click":
        url = str(bid["adm"]).split('href="', 1)[1].split('"', 1)[0].replace("&amp;", "&")
    else:
        url = str(bid[name])
    return (
        url.replace("${AUCTION_PRICE}", price).replace("${AUCTION_CURRENCY}", "PLN").replace("${AUCTION_LOSS}", "102")
    )


BILLS = {"bills": "burl", "wins": "nurl", "pixels": "pixel", "firsts": "burl"}


def settle(offers: list[dict[str, Any]]) -> None:
    """Of each exchange's bids a third is billed, some are won, lost and clicked; the others stay out."""
    for place, offer in enumerate(offers):
        bid, exchange = offer["bid"], offer["exchange"]
        names = {0: [BILLS[exchange]], 1: ["nurl"], 2: ["lurl"], 3: [BILLS[exchange], "click"]}.get(place % 8, [])
        offer["told"] = []
        for name in names:
            status, _ = call(notice(bid, name, "1.50"))
            if status not in (200, 204, 302):
                raise SystemExit(f"{name} of {exchange}: {status}")
            offer["told"].append(name)


def wait_for_profiles(old: OldGrosz, users: list[str]) -> None:
    """The worker has applied the events once the last user's are there."""
    for _ in range(200):
        if '"purchases"' in old.command("user", "show", users[-1], fails=True):
            return
        time.sleep(0.1)
    raise SystemExit("events are not applied")


def keep_long(data: Path) -> None:
    connection = sqlite3.connect(data / "grosz.sqlite")
    with connection:
        connection.execute("update advertisers set profile_retention_days = ?", (KEPT_DAYS,))
    connection.close()


def make(checkout: Path, archive: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="grosz-") as directory:
        data, users = Path(directory) / "data", user_ids()
        old = OldGrosz(checkout, data)
        file = Path(directory) / "catalogue.json"
        file.write_text(json.dumps(catalogue()))
        old.command("catalogue", "import", str(file))
        keep_long(data)
        old.start()
        made = old.command("key", "create", "--set", "name=shop", "--set", 'scopes=["trade"]', "--json")
        time.sleep(1.5)  # until the tracker knows the key
        now_s = int(time.time())
        send_events(old, json.loads(made)["secret"], users, now_s)
        wait_for_profiles(old, users)
        call(f"{old.urls['track']}/sync/bills?uid={THEIRS}&gdpr=0", Cookie=f"grosz_uid={users[0]}")
        call(f"{old.urls['track']}/optout", {}, Cookie=f"grosz_uid={users[1]}")
        offers = list(bids(old, users))
        settle(offers)
        time.sleep(2)  # the ledger's rows reach the store
        expected = {
            "commit": subprocess.run(
                ["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True
            ).stdout.strip(),
            "made_s": time.time(),
            "users": users,
            "catalogue": catalogue(),
            "offers": offers,
            "ledger": old.command("ledger", "export"),
            "audit": old.command("audit"),
            "shown": {user: old.command("user", "show", user, fails=True) for user in users},
        }
        old.stop()
        (Path(directory) / "expected.json").write_text(json.dumps(expected))
        with tarfile.open(archive, "w:xz", preset=9) as tar:
            tar.add(Path(directory) / "expected.json", "expected.json")
            pack_data(data, tar)
            pack_program(checkout, tar)


def pack_data(data: Path, tar: tarfile.TarFile) -> None:
    """Without what a run makes anew: sockets, locks, logs, shared memory of metrics."""
    for path in sorted(data.rglob("*")):
        relative = path.relative_to(data)
        if path.is_file() and relative.parts[0] != "run" and not path.name.endswith((".lock", ".pid", ".log")):
            tar.add(path, f"data/{relative}")


# What `grosz bidder` imports, late imports included.
_PROGRAM = """
import pathlib, sys
import admin.cli.roles, admin.roles.bidder, bidder.compile_process, bidder.compiling
here = pathlib.Path.cwd()
for module in list(sys.modules.values()):
    file = getattr(module, "__file__", None)
    if file and pathlib.Path(file).is_relative_to(here) and ".venv" not in file:
        print(pathlib.Path(file).relative_to(here))
"""
_PROGRAM_DATA = ("bidder/prior", "pacing/scripts")


def pack_program(checkout: Path, tar: tarfile.TarFile) -> None:
    """The modules of the bidder role, and the files that they read."""
    python = checkout / ".venv" / "bin" / "python"
    found = subprocess.run([python, "-c", _PROGRAM], cwd=checkout, capture_output=True, text=True, check=True)
    files = {Path(line) for line in found.stdout.split()}
    for folder in _PROGRAM_DATA:
        files |= {path.relative_to(checkout) for path in (checkout / folder).rglob("*") if path.is_file()}
    for file in sorted(files):
        if file.suffix != ".pyc":
            tar.add(checkout / file, f"program/{file}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("archive", type=Path)
    chosen = parser.parse_args()
    make(chosen.checkout.absolute(), chosen.archive.absolute())
