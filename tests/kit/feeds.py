"""Product feeds made up for tests: each habit and fault of real ones once, with what must come out of them."""

import gzip
import io
import zipfile

import msgspec

from creatives.feeds.faults import FaultLog
from creatives.feeds.reading import FeedReader, ReadOptions
from creatives.product import FeedProduct

GOOGLE_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0">\n'
    "<channel>\n<title>Szpilka</title>\n<link>https://szpilka.example</link>\n"
)
GOOGLE_TAIL = "</channel>\n</rss>\n"
CSV_HEAD = "id,title,description,availability,price,link,image_link,brand\n"


class Reading(msgspec.Struct):
    """What came out of a feed."""

    products: list[FeedProduct]
    log: FaultLog
    reader: FeedReader

    @property
    def ids(self) -> list[str]:
        return [product.id for product in self.products]

    @property
    def faults(self) -> set[tuple[str, str, int]]:
        """Field, code and count of every kind of fault."""
        return {(fault.field, fault.code, fault.count) for fault in self.log.table()}

    def where(self, code: str) -> list[tuple[int, str, str]]:
        """Line, product id and value of the examples of one kind."""
        return [
            (example.line, example.product_id, example.value)
            for fault in self.log.table()
            if fault.code == code
            for example in fault.examples
        ]


def read(feed: bytes | str, *, piece: int = 1_000, charset: str = "", **options: object) -> Reading:
    """A feed read in pieces of `piece` bytes."""
    data = feed.encode() if isinstance(feed, str) else feed
    log = FaultLog()
    reader = FeedReader(msgspec.convert(options, ReadOptions), log, charset)
    products = list(reader.products(data[at : at + piece] for at in range(0, len(data), piece)))
    return Reading(products, log, reader)


def item(number: int | str, *more: str, price: str = "15.00 PLN", title: str = "", stock: str = "in_stock") -> str:
    """One good item of a Google feed, with lines of more elements."""
    lines = [
        "<item>",
        f"<g:id>{number}</g:id>",
        f"<title>{title or f'Product {number}'}</title>",
        f"<link>https://szpilka.example/p/{number}</link>",
        f"<g:image_link>https://cdn.szpilka.example/{number}.jpg</g:image_link>",
        f"<g:price>{price}</g:price>",
        f"<g:availability>{stock}</g:availability>",
        *more,
        "</item>",
        "",
    ]
    return "\n".join(lines)


def google(*items: str) -> str:
    """A whole Google Merchant feed."""
    return GOOGLE_HEAD + "".join(items) + GOOGLE_TAIL


def csv_row(number: int | str, *, price: str = "15.00 PLN", title: str = "", separator: str = ",") -> str:
    """One good row below CSV_HEAD."""
    fields = (
        str(number), title or f"Product {number}", "text", "in stock", price, f"https://szpilka.example/p/{number}",
        f"https://cdn.szpilka.example/{number}.jpg", "Acme",
    )  # fmt: skip
    return separator.join(fields) + "\n"


def csv_feed(count: int, *, first: int = 1, price: str = "15.00 PLN") -> bytes:
    """A CSV feed of `count` products."""
    return (CSV_HEAD + "".join(csv_row(number, price=price) for number in range(first, first + count))).encode()


def zipped(feed: bytes, name: str = "feed.csv") -> bytes:
    """A zip archive with a folder and the feed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export/", b"")
        archive.writestr(f"export/{name}", feed)
    return packed.getvalue()


def gzipped(feed: bytes) -> bytes:
    return gzip.compress(feed)


# 1. Czech, RSS: prices without decimals, UUIDs, several images, nested shipping, a repeated id.
CZECH = google(
    item("4f9a2c10-0000-4000-8000-000000000001", "<g:product_type>Počítače &gt; Notebooky</g:product_type>",
         "<g:additional_image_link>https://cdn.szpilka.example/1b.jpg</g:additional_image_link>",
         "<g:shipping><g:country>CZ</g:country><g:price>0 CZK</g:price></g:shipping>", price="18990 CZK"),
    item("4f9a2c10-0000-4000-8000-000000000002", "<g:shipping><g:price>99 CZK</g:price></g:shipping>",
         price="1290 CZK"),
    item("4f9a2c10-0000-4000-8000-000000000001", price="17990 CZK"),
)  # fmt: skip

# 2. Spanish, variants: byte order mark, CDATA, one decimal, `in stock`, groups.
SPANISH = "\ufeff" + google(
    item(1, "<g:item_group_id>G1</g:item_group_id>", "<g:size>M</g:size>", "<g:color>azul</g:color>",
         title="<![CDATA[Camiseta & gorra]]>", price="32.0 USD", stock="in stock"),
    item(2, "<g:item_group_id>G1</g:item_group_id>", "<g:size>L</g:size>", title="<![CDATA[Camiseta]]>",
         price="32.0 USD", stock="out stock"),
)  # fmt: skip

# 3. Russian, Atom with a default namespace: two kinds of id and of link, a long description, labels.
ATOM = (
    '\ufeff<?xml version="1.0"?>\n<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">\n'
    "<title>Магазин</title>\n<link rel='self' href='https://szpilka.example'/>\n"
    "<entry>\n<id>tag:szpilka.example,2026:7</id>\n<g:id>7</g:id>\n<title><![CDATA[Книга «Лес»]]></title>\n"
    "<link href='https://szpilka.example/7'/>\n<summary>" + "много слов " * 400 + "</summary>\n"
    "<g:image_link>https://cdn.szpilka.example/7.jpg</g:image_link>\n<g:price>990.00 RUB</g:price>\n"
    "<g:availability>in stock</g:availability>\n<g:custom_label_0>high</g:custom_label_0>\n"
    "<g:custom_label_2>autumn</g:custom_label_2>\n</entry>\n</feed>\n"
)

# 4. Arabic: CRLF, right-to-left titles, percent-encoded links, two malformed sale prices, equal titles.
ARABIC = google(
    item(1, "<g:sale_price>113.25.00 SAR</g:sale_price>", title="حذاء رياضي", price="150.00 SAR"),
    item(2, "<g:sale_price>362.00800000000004.00 SAR</g:sale_price>", title="حذاء رياضي", price="400.00 SAR"),
    item("حذاء", "<g:sale_price>99.50 SAR</g:sale_price>", title="حقيبة", price="120.00 SAR"),
).replace("\n", "\r\n")

# 5. Meta's template as it is downloaded: two comment lines, byte order mark, CRLF, a last column without a name.
META = (
    "\ufeff# Required | A unique id, with commas.\r\n# Obligatoire | Un identifiant\u00a0unique, s'il vous plaît\r\n"
    "id,title,description,availability,condition,price,link,image_link,brand,video[0].url,\r\n"
    'FB_1,"Chemise ""Bleue"", lin",Texte,in stock,new,10.00 EUR,https://szpilka.example/1,'
    "https://cdn.szpilka.example/1.jpg,Marque,,\r\n"
    "FB_2,Pantalon\u00a0noir,Texte,out of stock,new,20.00 EUR,https://szpilka.example/2,"
    "https://cdn.szpilka.example/2.jpg,Marque,,\r\n"
).encode()

# 6. Ceneo: values in attributes, attributes of the product by name, days until the parcel leaves.
CENEO = (
    '<?xml version="1.0" encoding="utf-8"?>\n<offers xmlns:xsi="http://www.w3.org/2001/XMLSchema" version="1">\n'
    '<o id="11" url="https://szpilka.example/11" price="49.99" avail="1" set="0" weight="1" basket="1" stock="10">\n'
    "<cat><![CDATA[Dom/Kuchnia/Garnki]]></cat><name><![CDATA[Garnek żeliwny]]></name>\n"
    '<imgs><main url="https://cdn.szpilka.example/11.jpg"/><i url="https://cdn.szpilka.example/11b.jpg"/></imgs>\n'
    '<desc><![CDATA[<p>Opis</p>]]></desc><attrs><a name="Producent">Emalia</a><a name="EAN">590</a></attrs></o>\n'
    '<o id="12" url="https://szpilka.example/12" price="19" avail="99"><name>Pokrywka</name></o>\n</offers>\n'
)

# 7. Yandex YML in windows-1251: categories by number, an old price, a parameter by name, type and model for a name.
YML = (
    '<?xml version="1.0" encoding="windows-1251"?>\n<!DOCTYPE yml_catalog SYSTEM "shops.dtd">\n'
    '<yml_catalog date="2026-11-29 10:00">\n<shop><name>Магазин</name>\n'
    '<currencies><currency id="RUR" rate="1"/></currencies>\n'
    '<categories><category id="1">Одежда</category>\n<category id="2" parentId="1">Детская</category></categories>\n'
    '<offers>\n<offer id="21" type="vendor.model" available="true" group_id="5">\n<url>https://szpilka.example/21</url>\n'
    "<price>100</price><oldprice>150</oldprice><currencyId>RUR</currencyId><categoryId>2</categoryId>\n"
    "<picture>https://cdn.szpilka.example/21.jpg</picture><picture>https://cdn.szpilka.example/21b.jpg</picture>\n"
    '<typePrefix>Комбинезон</typePrefix><vendor>Лес</vendor><model>Б1</model><param name="Размер">86</param></offer>\n'
    '<offer id="22" available="false"><url>https://szpilka.example/22</url><price>5</price>\n'
    "<currencyId>RUR</currencyId><categoryId>1</categoryId><name>Шапка</name></offer>\n</offers></shop></yml_catalog>\n"
).encode("cp1251")

# 8. Danish: root and tags of its own, prices without currency, CRLF. Needs a mapping.
DANISH = (
    '<?xml version="1.0" encoding="UTF-8"?>\r\n<products>\r\n<product><nummer>31</nummer><navn>Skruetrækker</navn>\r\n'
    '<adresse href="https://szpilka.example/31"/><pris>1.129,50</pris><lager>true</lager></product>\r\n</products>\r\n'
)
DANISH_MAPPING = {"id": "nummer", "title": "navn", "link": "adresse/@href", "price": "pris", "availability": "lager"}

# 9. Polish shop that writes cp1250 and says UTF-8; a bare &, an HTML entity, a control character, tags in a title.
POLISH = google(
    item(41, title="Żółte buty śnieżne\x0b"),
    item(42, title="Kapcie&nbsp;&lt;b&gt;ciepłe&lt;/b&gt;"),
    item(43, "<g:link>https://szpilka.example/43?a=1&b=2</g:link>", title="Skarpety, rękawiczki i czapka"),
)
POLISH_1250 = POLISH.encode("cp1250")
POLISH_8859 = POLISH.encode("iso8859-2")

# 10. Faults row by row in CSV: each row below names what is wrong with it.
FAULTY = (
    CSV_HEAD
    + csv_row(1)
    + csv_row("")  # line 3: no id
    + csv_row(3, price="15.00")  # line 4: no currency
    + csv_row(4, price="113.25.00 PLN")  # line 5: not a price
    + csv_row(5, price="0.00 PLN")  # line 6: nothing
    + "6,Six,text,in stock,15.00 PLN,javascript:alert(1),https://cdn.szpilka.example/6.jpg,Acme\n"  # line 7
    + "7,Seven,text,maybe,15.00 PLN,https://szpilka.example/7,,Acme\n"  # line 8: availability, image
    + "8,,text,in stock,15.00 PLN,https://szpilka.example/8,https://cdn.szpilka.example/8.jpg,Acme\n"  # line 9: title
    + "9,Nine,text\n"  # line 10: too short
    + "10,Ten,a,b,in stock,15.00 PLN,https://szpilka.example/10,https://cdn.szpilka.example/10.jpg,Acme\n"  # line 11
    + '11,"Eleven,text,in stock,15.00 PLN,https://szpilka.example/11,https://cdn.szpilka.example/11.jpg,Ac\n'  # line 12
    + csv_row(12, title="BrÃ¼cke")  # line 13: mojibake
    + csv_row(1, title="Again")  # line 14: repeated
    + f"{'x' * 101},Long,text,in stock,15.00 PLN,https://szpilka.example/x,https://cdn.szpilka.example/x.jpg,Acme\n"
    + csv_row(13)
)
