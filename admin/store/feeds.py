"""The feeds as their schedule needs them: read from the database, with the currencies of their advertisers."""

import msgspec

from admin.store import tables
from admin.store.database import Database
from admin.store.model import Feed
from core.model import Status
from creatives.feeds.loading import FeedJob
from creatives.feeds.reading import ReadOptions
from creatives.feeds.schedule import PlannedFeed, State


async def planned_feeds(database: Database, *, allow_private: bool = False) -> list[PlannedFeed]:
    """All feeds, archived ones and those of archived advertisers too: their products are to be forgotten."""
    owners = tables.advertisers
    statement = tables.documents(tables.feeds, owners.c.status.label("owner_status")).join(
        owners, owners.c.id == tables.feeds.c.advertiser_id
    )
    decoder = msgspec.json.Decoder(Feed)
    async with database.read() as connection:
        rows = list(await connection.execute(statement.order_by(tables.feeds.c.id)))
    found = []
    for row in rows:
        feed = decoder.decode(row.document)
        gone = Status.ARCHIVED in (feed.status, Status(row.owner_status))
        paused = Status.PAUSED in (feed.status, Status(row.owner_status))
        state = State.REMOVED if gone else State.PAUSED if paused else State.ACTIVE
        found.append(PlannedFeed(job_of(feed, allow_private=allow_private), feed.refresh_s, state))
    return found


def job_of(feed: Feed, *, allow_private: bool = False, force: bool = False) -> FeedJob:
    """A feed's run, without what is only known when it begins."""
    return FeedJob(
        feed_id=feed.id,
        advertiser_id=feed.advertiser_id,
        url=feed.secret_url or feed.url,
        options=ReadOptions(
            form=feed.format.value,
            currency=feed.price_currency,
            encoding=feed.encoding,
            item_element=feed.item_element,
            mapping=feed.mapping,
        ),
        allow_private=allow_private,
        force=force,
    )
