"""What two ads of one pod must not have in common."""

from typing import Final

from bidder.decision.creatives import Showable
from bidder.request.auction import Pod
from creatives.formats.spots import SpotAd, spot_of

APART_BY_DOMAIN: Final = 1
APART_BY_CATEGORY: Final = 2
APART_BY_FILE: Final = 4
"""AdCOM list "Pod Deduplication"; no ad is twice in a pod, whatever is asked."""


Marks = set[tuple[object, ...]]
"""What the bids of a batch have used up: (auction, line item), and (auction, pod, place of the pod, key of an ad)."""

ANY_PLACE: Final = -1
"""The place of a pod that has a name: all impressions of that name are one."""


def apart_keys(shown: Showable, ad: SpotAd, pod: Pod) -> frozenset[str]:
    """Keys of an ad that no other ad of the pod may share (AdCOM list "Pod Deduplication")."""
    creative = ad.creative
    keys = [f"creative {creative.id}"]
    if not shown.line.several_per_request:
        keys.append(f"line item {shown.line.line_item_id}")
    if APART_BY_DOMAIN in pod.separation:
        keys.append(f"domain {shown.prepared.domain}")
    if APART_BY_CATEGORY in pod.separation:
        keys += [f"category {each}" for each in creative.categories]
    spot = spot_of(creative)
    if APART_BY_FILE in pod.separation and spot is not None:
        keys += [f"file {each.url}" for each in spot.media]
    return frozenset(keys)


def pod_marks(number: int, shown: Showable, pod: Pod) -> Marks:
    """Marks of an ad in a pod with a name, which no other ad of that pod may have."""
    ad = shown.prepared.ad
    return {(number, pod.id, ANY_PLACE, key) for key in apart_keys(shown, ad, pod)} if isinstance(ad, SpotAd) else set()
