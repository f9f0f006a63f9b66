"""Dynamic ads: what one costs a bid that carries it, and a bid whose ad is filled when it is shown (`shown_ads`)."""

import argparse
import statistics
import time

import msgspec

from bidder.decision.filling import filling_of
from core.model import AdDelivery, ProductChoice, ProductStrategy
from creatives.formats.banner import FORMAT
from creatives.formats.offer import Offer
from creatives.macros import TOKEN, Tracker
from creatives.products.on_bid import BidProducts
from creatives.templates.library import templates
from creatives.templates.samples import USUAL, sample_creative
from pacing.notices.tokens import TokenSigner

TRACKER = Tracker("https://track.example")
SIGNER = TokenSigner({1: b"k" * 32})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bids", type=int, default=5_000)
    options = parser.parse_args()
    for name in ("single", "grid"):
        _bids(name, options.bids)


def _bids(name: str, count: int) -> None:
    template = templates()[name]
    creative = sample_creative(template, "300x250", {"shop": "Szpilka"})
    assert creative.template is not None
    shown = BidProducts(USUAL[:3], (ProductStrategy.CART,) * 3, 0, True)
    sizes = {}
    body = b""
    for delivery in (AdDelivery.IMPRESSION, AdDelivery.INLINE):
        use = msgspec.structs.replace(creative.template, delivery=delivery)
        ad = msgspec.structs.replace(creative, template=use, products=ProductChoice())
        rendered = FORMAT.render(ad, Offer("banner", ((300, 250),)), TRACKER)
        static = msgspec.json.encode({"adm": rendered.markup})
        filling = filling_of(rendered, 7, static)
        token = b"t" * 160
        around = (b"," + static[1:]).split(TOKEN.encode())
        times = []
        for number in range(count):
            start = time.perf_counter_ns()
            parts = around if filling is None else filling.around(shown, SIGNER, number, None, 1)
            body = token.join(parts)
            times.append(time.perf_counter_ns() - start)
        sizes[delivery] = len(body)
        print(
            f"{name}, {delivery}: {len(body):,} bytes a bid; "
            f"filled in {statistics.median(times) / 1000:.2f} us (median)"
        )
    print(
        f"{name}: a bid that carries it is {sizes[AdDelivery.INLINE] / sizes[AdDelivery.IMPRESSION]:.1f} times as long"
    )


if __name__ == "__main__":
    main()
