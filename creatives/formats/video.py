"""Video ads: inline VAST 2.0 to 4.2. What video and audio share is in `spots`, `spot_check` and `vast`."""

from creatives.formats import spot_check, spots
from creatives.formats.base import AdFormat

FORMAT = AdFormat(
    name="video",
    shapes=spots.shapes,
    check=spot_check.check,
    render=spots.render,
    admits=spots.admits,
    variant=spots.variant,
    with_notice=spots.with_notice,
)
