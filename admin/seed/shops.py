"""The demo shops: what each sells, to whom, and what it pays for an ad."""

import msgspec

from admin.seed.ads import Look
from core.model import Targeting


class Shop(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between the shops. Prices in units of `currency`."""

    name: str
    currency: str = "PLN"
    look: Look
    keywords: tuple[str, ...]
    keywords_deny: tuple[str, ...] = ()
    page_categories: tuple[str, ...]
    home: Targeting
    network_cpm: float
    click_bid: float
    sale_bid: float
    high_cart: int


POLAND = Targeting(countries=("POL",))

SHOPS = (
    Shop(
        name="Szpilka",
        look=Look(
            shop="Szpilka",
            slogan="Szpilki, that fit the evening",
            offer="-20% until Sunday",
            emblem="👠",
            background="#fff0f3",
            accent="#c9184a",
            domain="szpilka.example",
            categories=("IAB18-3",),
        ),
        keywords=("szpilki", "stilettos", "high heels", "buty na obcasie", "pumps"),
        keywords_deny=("insoles", "wkładki", "orthopaedic"),
        page_categories=("IAB18",),
        home=POLAND,
        network_cpm=9.0,
        click_bid=1.1,
        sale_bid=24.0,
        high_cart=500,
    ),
    Shop(
        name="Voltaro",
        look=Look(
            shop="Voltaro",
            slogan="Laptops and phones, here tomorrow",
            offer="Free delivery",
            emblem="💻",
            background="#eaf4ff",
            accent="#0057b8",
            domain="voltaro.example",
            categories=("IAB19",),
        ),
        keywords=("laptop", "smartphone", "headphones", "słuchawki", "graphics card", "monitor"),
        page_categories=("IAB19",),
        home=POLAND,
        network_cpm=12.0,
        click_bid=1.6,
        sale_bid=60.0,
        high_cart=2_000,
    ),
    Shop(
        name="Dom i Dąb",
        look=Look(
            shop="Dom i Dąb",
            slogan="Oak tables made to your size",
            offer="See the sofas",
            emblem="🛋️",
            background="#f7f1e5",
            accent="#7f5539",
            domain="domidab.example",
            categories=("IAB10",),
        ),
        keywords=("sofa", "oak table", "stół dębowy", "living room", "salon", "interior design"),
        page_categories=("IAB10",),
        home=Targeting(countries=("POL", "DEU", "CZE")),
        network_cpm=10.5,
        click_bid=2.2,
        sale_bid=95.0,
        high_cart=3_000,
    ),
    Shop(
        name="Rosalia",
        look=Look(
            shop="Rosalia",
            slogan="Skin care without perfume",
            offer="Gift with each order",
            emblem="🌹",
            background="#fdf0f8",
            accent="#a4508b",
            domain="rosalia.example",
            categories=("IAB18-1",),
        ),
        keywords=("skin care", "krem do twarzy", "serum", "makeup", "perfumy", "sunscreen"),
        page_categories=("IAB18-1", "IAB7"),
        home=POLAND,
        network_cpm=8.0,
        click_bid=0.8,
        sale_bid=14.0,
        high_cart=250,
    ),
    Shop(
        name="Sowa i Syn",
        look=Look(
            shop="Sowa i Syn",
            slogan="Books that arrive before you finish",
            offer="3 for the price of 2",
            emblem="🦉",
            background="#f4f7ec",
            accent="#3a5a40",
            domain="sowaisyn.example",
            categories=("IAB1-1",),
        ),
        keywords=("novel", "książka", "reportage", "bestseller", "science fiction", "review"),
        page_categories=("IAB1", "IAB5"),
        home=POLAND,
        network_cpm=6.5,
        click_bid=0.5,
        sale_bid=8.0,
        high_cart=150,
    ),
    Shop(
        name="Klocek",
        currency="EUR",
        look=Look(
            shop="Klocek",
            slogan="Wooden toys for long afternoons",
            offer="New: marble runs",
            emblem="🧸",
            background="#fffbe6",
            accent="#e07a00",
            domain="klocek.example",
            categories=("IAB22",),
            language="de",
        ),
        keywords=("toys", "zabawki", "wooden blocks", "lego", "board game", "birthday present"),
        page_categories=("IAB6", "IAB9"),
        home=Targeting(countries=("POL", "DEU", "FRA", "NLD", "BEL", "AUT")),
        network_cpm=2.2,
        click_bid=0.3,
        sale_bid=6.0,
        high_cart=60,
    ),
    Shop(
        name="Granite Trail",
        currency="USD",
        look=Look(
            shop="Granite Trail",
            slogan="Boots and tents for any weather",
            offer="Lifetime repair",
            emblem="⛰️",
            background="#edf6f9",
            accent="#006d77",
            domain="granitetrail.example",
            categories=("IAB20",),
            language="en",
        ),
        keywords=("hiking", "tent", "backpack", "trail", "trekking", "camping"),
        page_categories=("IAB20", "IAB17"),
        home=Targeting(countries=("USA", "CAN", "GBR")),
        network_cpm=3.4,
        click_bid=0.6,
        sale_bid=18.0,
        high_cart=200,
    ),
)
