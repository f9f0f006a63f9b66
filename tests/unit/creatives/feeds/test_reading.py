"""Ten feeds, each with habits and faults of real ones, come out with exactly the expected products and faults."""

import pytest

from creatives.feeds.faults import FeedError
from creatives.product import Availability
from tests.kit import feeds
from tests.kit.feeds import csv_feed, google, gzipped, item, read, zipped


def test_a_czech_feed_has_prices_without_decimals_and_a_repeated_id() -> None:
    reading = read(feeds.CZECH)
    first, second, again = reading.products
    assert (first.price_micros, first.currency, first.category) == (18_990_000_000, "CZK", "Počítače > Notebooky")
    assert (first.image, first.shipping) == (
        "https://cdn.szpilka.example/4f9a2c10-0000-4000-8000-000000000001.jpg", "free",
    )  # fmt: skip
    assert second.shipping == ""
    assert (again.id, again.price_micros) == (first.id, 17_990_000_000)  # the loader keeps the last
    assert reading.faults == set()
    assert reading.reader.form == "google"


def test_a_spanish_feed_has_a_mark_cdata_one_decimal_and_variants() -> None:
    first, second = read(feeds.SPANISH, piece=7).products
    assert (first.title, first.price_micros, first.currency) == ("Camiseta & gorra", 32_000_000, "USD")
    assert (first.group, first.size, first.color) == ("G1", "M", "azul")
    assert (first.availability, second.availability) == (Availability.IN_STOCK, Availability.OUT_OF_STOCK)


def test_an_atom_feed_prefers_the_merchants_id_to_atoms() -> None:
    reading = read(feeds.ATOM, piece=11)
    (product,) = reading.products
    assert (product.id, product.link) == ("7", "https://szpilka.example/7")
    assert product.title == "Книга «Лес»"
    assert product.labels == ("high", "", "autumn")
    assert reading.faults == set()


def test_an_arabic_feed_keeps_products_whose_sale_price_is_malformed_at_the_full_price() -> None:
    reading = read(feeds.ARABIC)
    first, second, third = reading.products
    assert (first.sale_micros, second.sale_micros, third.sale_micros) == (0, 0, 99_500_000)
    assert third.link == "https://szpilka.example/p/%D8%AD%D8%B0%D8%A7%D8%A1"
    assert reading.faults == {("sale_price", "bad_sale_price", 2)}
    assert reading.where("bad_sale_price") == [(6, "1", "113.25.00 SAR"), (15, "2", "362.00800000000004.00 SAR")]


def test_metas_template_is_read_below_its_comments() -> None:
    reading = read(feeds.META, piece=5)
    first, second = reading.products
    assert (first.id, first.title) == ("FB_1", 'Chemise "Bleue", lin')
    assert (second.title, second.availability) == ("Pantalon noir", Availability.OUT_OF_STOCK)
    assert (reading.reader.form, reading.reader.encoding) == ("csv", "utf-8")
    assert reading.faults == set()


def test_a_ceneo_feed_has_its_values_in_attributes() -> None:
    reading = read(feeds.CENEO, piece=13)
    first, second = reading.products
    assert (first.id, first.title, first.brand) == ("11", "Garnek żeliwny", "Emalia")
    assert (first.price_micros, first.currency, first.image) == (
        49_990_000, "PLN", "https://cdn.szpilka.example/11.jpg",
    )  # fmt: skip
    assert (first.availability, second.availability) == (Availability.IN_STOCK, Availability.OUT_OF_STOCK)
    assert reading.faults == {("image", "no_image", 1)}


def test_a_yml_feed_names_categories_by_number_and_reductions_by_the_old_price() -> None:
    reading = read(feeds.YML, piece=9)
    first, second = reading.products
    assert (first.title, first.category) == ("Комбинезон Лес Б1", "Одежда > Детская")
    assert (first.price_micros, first.sale_micros, first.currency) == (150_000_000, 100_000_000, "RUB")
    assert (first.size, first.group, first.image) == ("86", "5", "https://cdn.szpilka.example/21.jpg")
    assert (second.title, second.category, second.for_sale) == ("Шапка", "Одежда", False)
    assert reading.reader.encoding == "cp1251"


def test_a_feed_of_its_own_form_needs_a_mapping() -> None:
    with pytest.raises(FeedError, match="no known feed") as refused:
        read(feeds.DANISH)
    assert refused.value.code == "unknown_form"
    reading = read(feeds.DANISH, item_element="product", mapping=feeds.DANISH_MAPPING, currency="DKK")
    (product,) = reading.products
    assert (product.id, product.title, product.link) == ("31", "Skruetrækker", "https://szpilka.example/31")
    assert (product.price_micros, product.currency) == (1_129_500_000, "DKK")
    assert reading.faults == {("image", "no_image", 1), ("price", "default_currency", 1)}


@pytest.mark.parametrize(
    ("feed", "encoding"), [(feeds.POLISH_1250, "cp1250"), (feeds.POLISH_8859, "iso8859-2"), (feeds.POLISH, "utf-8")]
)
@pytest.mark.parametrize("piece", [1, 64, 100_000])
def test_a_polish_feed_is_repaired_and_its_encoding_told(feed: bytes | str, encoding: str, piece: int) -> None:
    reading = read(feed, piece=piece)
    assert [product.title for product in reading.products] == [
        "Żółte buty śnieżne", "Kapcie ciepłe", "Skarpety, rękawiczki i czapka",
    ]  # fmt: skip
    assert reading.products[2].link == "https://szpilka.example/43?a=1&b=2"
    assert reading.reader.encoding == encoding
    assert reading.reader.encoding_guessed == (encoding != "utf-8")
    assert reading.faults == {
        ("", "control_characters", 1), ("", "bare_ampersand", 1), ("title", "markup", 1),
    }  # fmt: skip
    assert reading.where("bare_ampersand")[0][0] == 29


@pytest.mark.parametrize("piece", [1, 50, 100_000])
def test_each_faulty_row_is_named_with_its_line_and_the_others_are_read(piece: int) -> None:
    reading = read(feeds.FAULTY, piece=piece)
    assert reading.ids == ["1", "7", "12", "1", "13"]
    assert reading.faults == {
        ("id", "missing", 1), ("price", "no_currency", 1), ("price", "not_a_price", 1),
        ("price", "price_not_positive", 1), ("link", "not_a_link", 1), ("availability", "unknown_availability", 1),
        ("image", "no_image", 1), ("title", "missing", 1), ("", "too_few_fields", 1), ("", "too_many_fields", 1),
        ("", "unclosed_quote", 1), ("title", "mojibake", 1), ("id", "too_long", 1),
    }  # fmt: skip
    assert reading.where("not_a_price") == [(5, "4", "113.25.00 PLN")]
    assert reading.where("not_a_link") == [(7, "6", "javascript:alert(1)")]
    assert reading.where("too_few_fields")[0][0] == 10
    assert reading.where("too_many_fields")[0][0] == 11
    assert reading.where("unclosed_quote")[0][0] == 12
    assert reading.where("mojibake")[0][0] == 13


@pytest.mark.parametrize("pack", [gzipped, zipped, lambda feed: gzipped(gzipped(feed))])
def test_a_packed_feed_is_told_by_its_bytes(pack: object) -> None:
    reading = read(pack(csv_feed(300)), piece=10)  # type: ignore[operator]  # one of the functions above
    assert len(reading.products) == 300
    assert reading.reader.packing in ("gzip", "zip")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_told_by_the_header(separator: str) -> None:
    feed = feeds.CSV_HEAD.replace(",", separator) + feeds.csv_row(1, separator=separator)
    assert read(feed).ids == ["1"]


@pytest.mark.parametrize(
    ("feed", "code"),
    [
        (b"", "empty"),
        (b"   \n\n ", "empty"),
        (google().encode(), "empty"),
        (feeds.CSV_HEAD.encode(), "empty"),
        (google(item(1), item(2)).encode()[:-40], "truncated"),
        (google(item(1), item(2)).encode()[:400], "truncated"),
        ((feeds.CSV_HEAD + feeds.csv_row(1) + "2,Tw").encode(), "truncated"),
        (gzipped(csv_feed(500))[:-200], "truncated"),
        (zipped(csv_feed(500))[:2_000], "truncated"),
        (b"<!DOCTYPE html><html><body>Log in</body></html>", "html"),
        (b"<html><body>Log in</body></html>", "html"),
        (b'{"products": []}', "json"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "not_text"),
        (b"name;colour\nx;y\n", "no_header"),
        (google(item(1).replace("</g:id>", "</g:iid>")).encode(), "not_well_formed"),
        (b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "b">]><rss><channel/></rss>', "doctype"),
        (b'<?xml version="1.0"?><!DOCTYPE rss SYSTEM "file:///etc/passwd"><rss><channel/></rss>', "doctype"),
        (b'<!DOCTYPE yml_catalog [<!ENTITY a SYSTEM "file:///etc/passwd">]><yml_catalog/>', "doctype"),
        (b'<?xml version="1.0" encoding="klingon"?><rss/>', "encoding"),
        (("<rss>" + "<a>" * 3_000).encode(), "too_deep"),
    ],
)
def test_a_feed_that_cannot_be_trusted_is_refused_as_a_whole(feed: bytes, code: str) -> None:
    with pytest.raises(FeedError) as refused:
        read(feed)
    assert refused.value.code == code
    assert refused.value.message


def test_a_feed_in_one_line_of_many_megabytes_is_read() -> None:
    feed = google(*(item(number) for number in range(20_000))).replace("\n", "")
    assert len(feed) > 4_000_000
    assert len(read(feed, piece=65_536).products) == 20_000


def test_a_csv_line_without_an_end_costs_one_row_and_no_memory() -> None:
    feed = feeds.CSV_HEAD + feeds.csv_row(1) + "x" * 20_000_000 + "\n" + feeds.csv_row(2)
    reading = read(feed, piece=65_536)
    assert reading.ids == ["1", "2"]
    assert reading.faults == {("", "line_too_long", 1)}


def test_a_charset_of_http_is_believed_where_the_file_says_nothing() -> None:
    feed = (feeds.CSV_HEAD + feeds.csv_row(1, title="Żółć")).encode("iso8859-2")
    reading = read(feed, charset="iso-8859-2")
    assert reading.products[0].title == "Żółć"
    assert not reading.reader.encoding_guessed


def test_wrong_bytes_in_proper_utf_8_are_replaced_and_told() -> None:
    feed = (feeds.CSV_HEAD + feeds.csv_row(1, title="Żółć")).encode() + feeds.csv_row(2, title="X\xe9").encode(
        "latin-1"
    )
    reading = read(feed, piece=3)
    assert reading.reader.encoding == "utf-8"
    assert reading.ids == ["1", "2"]
    assert ("title", "wrong_bytes", 1) in reading.faults


@pytest.mark.parametrize("encoding", ["utf-16", "UTF-16LE", "utf-32", "ucs-2"])
def test_a_declaration_of_utf_16_that_can_be_read_byte_by_byte_is_not_believed(encoding: str) -> None:
    feed = google(item(1, title="Żółte buty")).replace('encoding="UTF-8"', f'encoding="{encoding}"')
    reading = read(feed)
    assert [product.title for product in reading.products] == ["Żółte buty"]
    assert reading.reader.encoding == "utf-8"
    assert read(csv_feed(1), charset=encoding).ids == ["1"]


@pytest.mark.parametrize("encoding", ["utf-7", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "rot13"])
def test_an_encoding_that_is_not_of_files_is_refused(encoding: str) -> None:
    with pytest.raises(FeedError) as refused:
        read(google(item(1)).replace('encoding="UTF-8"', f'encoding="{encoding}"'))
    assert refused.value.code == "encoding"


@pytest.mark.parametrize("blank", ["\n", "\r\n\r\n", "\ufeff\n", " \t"])
def test_blank_lines_above_the_xml_are_passed_over(blank: str) -> None:
    assert read(blank + google(item(1))).ids == ["1"]


@pytest.mark.parametrize("opening", [b"<!--", b'<item a="', b"<?x "])
def test_a_comment_or_a_tag_without_an_end_is_refused_before_it_has_cost_much(opening: bytes) -> None:
    feed = google(item(1)).encode().replace(b"<item>", opening + b"x" * 4_000_000 + b"<item>")
    with pytest.raises(FeedError) as refused:
        read(feed, piece=64 * 1024)
    assert refused.value.code == "token_too_long"


def test_elements_of_other_vocabularies_give_way_to_the_shops_own() -> None:
    spaces = 'xmlns:media="http://search.yahoo.com/mrss/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    feed = google(item(1)).replace("<rss ", f"<rss {spaces} ")
    feed = feed.replace("<item>", "<item><media:title>thumb.jpg</media:title><dc:title>Post 1</dc:title>", 1)
    product, expected = read(feed).products[0], read(google(item(1))).products[0]
    assert product.title == expected.title


def test_of_the_links_of_an_atom_entry_the_alternate_one_is_the_page() -> None:
    feed = """<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>1</id><title>Boots</title>
        <link rel="self" href="https://szpilka.example/api/1"/><link rel="enclosure" href="https://szpilka.example/1.pdf"/>
        <link rel="alternate" href="https://szpilka.example/1"/><price>1 PLN</price></entry></feed>"""
    assert read(feed).products[0].link == "https://szpilka.example/1"


@pytest.mark.parametrize(
    ("period", "moments"),
    [
        ("2026-11-01/2999-12-31", (1_793_491_200, 2**32 - 1)),
        ("1970-01-01T00:00:00Z/2030-01-01T00:00:00Z", (1, 1_893_456_000)),
        ("0001-01-01/9999-12-31T23:59+0100", (1, 2**32 - 1)),
        ("2026-11-01T00:00Z/2026-11-01T24:00Z", (1_793_491_200, 1_793_577_600)),
    ],
)
def test_a_period_that_reaches_far_is_one(period: str, moments: tuple[int, int]) -> None:
    sale = f"<g:sale_price>10.00 PLN</g:sale_price><g:sale_price_effective_date>{period}</g:sale_price_effective_date>"
    (product,) = read(google(item(1, sale))).products
    assert (product.sale_micros, product.sale_from_s, product.sale_to_s) == (10_000_000, *moments)


@pytest.mark.parametrize(("prices", "label"), [(("0 PLN", "0.00 PLN"), "free"), (("0 PLN", "10 PLN"), "")])
def test_delivery_is_free_where_it_costs_nothing_in_each_country(prices: tuple[str, ...], label: str) -> None:
    more = [f"<g:shipping><g:country>PL</g:country><g:price>{price}</g:price></g:shipping>" for price in prices]
    assert read(google(item(1, *more))).products[0].shipping == label


def test_a_sign_in_the_currency_column_is_a_currency_and_a_word_is_none() -> None:
    head = "id,title,link,price,currency\n"
    reading = read(head + "1,A,https://s.example/1,15.00,zł\n2,B,https://s.example/2,15.00,szt\n", currency="EUR")
    assert [(product.id, product.currency) for product in reading.products] == [("1", "PLN")]
    assert ("price", "not_a_price", 1) in reading.faults


def test_excels_note_of_the_separator_is_passed_over() -> None:
    assert read("sep=;\nid;title;link;price\n1;A;https://s.example/1;15,00 PLN\n").ids == ["1"]


def test_a_title_that_nobody_can_see_is_missing_and_none_turns_the_direction_of_the_rest() -> None:
    unseen, turned = read(google(item(1, title="\u200b\ufeff"))), read(google(item(1, title="Boots \u202egnp")))
    assert not unseen.products
    assert ("title", "missing", 1) in unseen.faults
    assert turned.products[0].title == "Boots gnp"
    assert ("title", "control_characters", 1) in turned.faults
    assert read(google(item(1, title="A\u200cB"))).products[0].title == "A\u200cB"


@pytest.mark.parametrize("page", ["<!doctype html><html>", '\n<!DOCTYPE HTML PUBLIC "x">', "<html><body>"])
def test_a_page_is_told_as_a_page(page: str) -> None:
    with pytest.raises(FeedError) as refused:
        read(page)
    assert refused.value.code == "html"


def test_signs_that_are_not_escaped_are_told_with_their_lines_however_many_there_are() -> None:
    feed = google(item(1, title="a & b\n& c")).replace("</rss>", "\n" + "&" * 200_000 + "\n&</rss>")
    reading = read(feed, piece=64 * 1024)
    assert reading.products[0].title == "a & b & c"
    lines = [line for line, _, _ in reading.where("bare_ampersand")]
    assert lines[0] == 1 + feed[: feed.index("& b")].count("\n")
    assert lines[1] == lines[0] + 1
    assert ("", "bare_ampersand", 200_003) in reading.faults


def test_an_odd_quote_does_not_give_a_product_the_link_of_the_next_one() -> None:
    text = "id\ttitle\tlink\tprice\n" + "".join(
        f"{number}\t{title}\thttps://szpilka.example/{number}\t{number}0 PLN\n"
        for number, title in enumerate(['"Best boots', '5" nails', '"Boots"', "Shoes"], start=1)
    )
    reading = read(text.encode())
    assert [(product.title, product.link[-1]) for product in reading.products] == [
        ('5" nails', "2"), ("Boots", "3"), ("Shoes", "4"),
    ]  # fmt: skip
    assert ("", "unclosed_quote", 1) in reading.faults


def test_a_text_of_several_lines_may_have_quotes_that_nobody_doubled() -> None:
    text = 'id,description,title,link,price\n1,"soft\nand "warm" too",Boots,https://szpilka.example/1,5 PLN\n'
    (product,) = read(text.encode()).products
    assert (product.title, product.price_micros) == ("Boots", 5_000_000)


@pytest.mark.parametrize("header", ["shipping", "Shipping (country:price)", "shipping(country:region:service:price)"])
def test_delivery_of_a_table_is_free_where_each_country_pays_nothing(header: str) -> None:
    costs = {
        "PL::Courier 24 h:0.00 PLN": "free", "PL:::0 PLN,DE:::0 EUR": "free", "0 PLN": "free", "PL:::9.99 PLN": "",
        "PL:::9.99 PLN,DE:::0 EUR": "", "US:94043:Ground:0 USD:1:1:2:3": "free", "": "",
    }  # fmt: skip
    rows = [f'{at},x,https://szpilka.example/{at},5 PLN,"{cost}"\n' for at, cost in enumerate(costs)]
    reading = read((f"id,title,link,price,{header}\n" + "".join(rows)).encode())
    assert [product.shipping for product in reading.products] == list(costs.values())


def test_a_german_table_tells_what_is_sold_out() -> None:
    text = (
        "ID;Titel;Link;Preis;Sonderangebotspreis;Verfügbarkeit;Bildlink;Größe\n"
        "1;Schuh;https://szpilka.example/1;1.299,00 €;999,00 €;auf Lager;https://szpilka.example/1.jpg;42\n"
        "2;Schuh;https://szpilka.example/2;19,99 €;;nicht auf Lager;https://szpilka.example/2.jpg;43\n"
    )
    first, second = read(text.encode()).products
    assert (first.sale_micros, first.size, first.availability) == (999_000_000, "42", Availability.IN_STOCK)
    assert second.availability is Availability.OUT_OF_STOCK
