"""What two ads of one pod must not have in common."""

from typing import Final

from bidder.decision.creatives import Showable
from bidder.request.auction import Pod
from creatives.formats.spots import SpotAd, spot_of

APART_BY_DOMAIN: Final = 1
APART_BY_CATEGORY: Final = 2
APART_BY_FILE: Final = 4
"""AdCOM list "Pod Deduplication"; no ad is twice in a pod, whatever is asked."""


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
