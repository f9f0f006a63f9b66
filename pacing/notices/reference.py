"""What notices need of a catalogue, worked out once for each."""

from core.model import Catalogue
from core.money import FxTable
from pacing.notices.lost_bids import Capped


class Reference:
    """What notices need of a catalogue. `currencies` is by advertiser, `sizes` (width, height) by creative."""

    __slots__ = ("capped", "currencies", "exchanges", "fx", "longest_window_s", "sizes")

    def __init__(self, catalogue: Catalogue, longest_window_s: int, capped: Capped) -> None:
        self.capped = capped
        exchanges = (*catalogue.archived_exchanges, *catalogue.exchanges)
        advertisers = (*catalogue.archived_advertisers, *catalogue.advertisers)
        self.exchanges = {exchange.id: exchange for exchange in exchanges}
        creatives = catalogue.creatives
        self.sizes = {creative.id: (creative.width, creative.height) for creative in creatives}
        self.currencies = {advertiser.id: advertiser.currency for advertiser in advertisers}
        self.fx = FxTable(catalogue.fx_base, catalogue.fx_rates)
        self.longest_window_s = longest_window_s
