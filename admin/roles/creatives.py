"""What the admin role does with creatives in the background: reviews by exchanges, and their pictures."""

from admin.catalogue.publish import CataloguePublisher
from admin.reviews.loop import ReviewLoop
from admin.reviews.store import ReviewStore
from admin.roles.lifecycle import RoleContext
from admin.roles.local_state import preview_folder
from admin.store.catalogue import CatalogueStore
from bidder.dialects.generic import sample_url
from core.model import Creative
from creatives.preview.browser import PreviewBrowser, find_program, own_address
from creatives.preview.loop import PreviewLoop
from creatives.preview.page import preview_name


def run_creatives(role: RoleContext, store: CatalogueStore, publisher: CataloguePublisher) -> None:
    """Reviews by exchanges, and the pictures that reviewers and people look at."""
    settings, track_url, pictures = role.settings.admin, role.settings.track.public_url, preview_folder(role.settings)

    def sample(creative: Creative) -> str:
        pictures.want(preview_name(creative))  # it is there when a reviewer looks
        return sample_url(creative, track_url)

    reviews = ReviewLoop(ReviewStore(store), role.clock, role.telemetry, publisher.wake, sample, settings.review_poll_s)
    role.run_loop(reviews.run, "reviews")
    program = find_program() if settings.previews == "auto" else None
    browser = PreviewBrowser(program, own_address(track_url)) if program else None

    async def creatives() -> tuple[Creative, ...]:
        return (await store.catalogue(role.clock.now_ms())).creatives

    role.run_loop(PreviewLoop(pictures, creatives, browser, track_url, role.telemetry).run, "previews")
