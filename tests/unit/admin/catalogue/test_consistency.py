"""What may be published: nothing without its owner, and step by step the same as all at once."""

import random
from typing import Any

import msgspec

from admin.catalogue.consistency import CatalogueBuilder, consistent_catalogue, put, touched_by
from admin.store.catalogue import NEVER_MS, Changed
from admin.store.kinds import KINDS
from core.catalogue.codec import BY_ID, apply_change, decode_change, encode_change
from core.model import Advertiser, Campaign, Catalogue, Deal, Exchange, InventoryList, ListKind, Segment, Status
from tests.kit.catalogues import creative, line_item

NUMBERS = range(1, 7)


def random_rows(chance: random.Random, kind: str) -> dict[int, Any]:
    """Some objects of a kind, as the store gives those that changed: any owner, now and then archived."""
    rows: dict[int, Any] = {}
    for number in sorted(chance.sample(NUMBERS, chance.randint(0, 3))):
        shop, campaign = chance.choice(NUMBERS), chance.choice(NUMBERS)
        made: dict[str, Any] = {
            "exchanges": Exchange(id=number, key=f"e{number}"),
            "advertisers": Advertiser(id=number, name="shop"),
            "campaigns": Campaign(id=number, advertiser_id=shop, name="campaign"),
            "segments": Segment(id=number, advertiser_id=shop, name="s", rule="visits >= 1"),
            "creatives": creative(number, shop),
            "deals": Deal(id=number, exchange_id=1, deal_id="d", advertiser_id=shop if shop % 2 else None),
            "lists": InventoryList(
                id=number, advertiser_id=shop if shop % 2 else None, name="l", kind=ListKind.DOMAINS
            ),
            "line-items": line_item(number, shop, campaign_id=campaign),
        }
        status = chance.choice((Status.ACTIVE, Status.PAUSED, Status.ACTIVE, Status.ARCHIVED))
        rows[number] = msgspec.structs.replace(made[kind], status=status, notes=str(chance.random()))
    return rows


def random_change(chance: random.Random, version: int) -> Changed:
    """Rows of some kinds; most changes leave advertisers and campaigns alone, as in life."""
    often = {"advertisers": 0.2, "campaigns": 0.2}
    names = [kind.name for kind in KINDS if kind.member]
    objects = {name: random_rows(chance, name) if chance.random() < often.get(name, 0.5) else {} for name in names}
    return Changed(version, objects, {"EUR": chance.randint(1, 9)}, (), (), NEVER_MS)


def has_owners(catalogue: Catalogue) -> bool:
    advertisers = {value.id for value in catalogue.advertisers}
    campaigns = {(value.id, value.advertiser_id) for value in catalogue.campaigns}
    tenants: tuple[Any, ...] = (
        *catalogue.campaigns,
        *catalogue.creatives,
        *catalogue.segments,
        *catalogue.deals,
        *catalogue.lists,
    )
    return all(value.advertiser_id in {*advertisers, None} for value in tenants) and all(
        value.advertiser_id in advertisers and (value.campaign_id, value.advertiser_id) in campaigns
        for value in catalogue.line_items
    )


def test_step_by_step_gives_the_same_as_all_at_once() -> None:
    stepped = 0
    for seed in range(150):
        chance = random.Random(seed)
        builder, members = CatalogueBuilder(), {name: dict[int, Any]() for name in BY_ID}
        before = None
        for version in range(1, chance.randint(2, 15)):
            changed = random_change(chance, version)
            for name, objects in touched_by(changed).items():
                put(members[name], objects)
            built, change = builder.build(changed, version * 1_000)
            assert built == consistent_catalogue(changed, version * 1_000, members)
            assert has_owners(built)
            stepped += before is not None and built.advertisers is before.advertisers
            assert (change is None) == (before is None)
            if before is not None and change is not None:
                assert apply_change(before, change) == built
                assert apply_change(before, decode_change(encode_change(change))) == built, "what is published"
            before = built
    assert stepped > 100


def test_what_is_left_out_for_its_owner_comes_back_with_it() -> None:
    builder = CatalogueBuilder()
    nothing: dict[str, dict[int, Any]] = {kind.name: {} for kind in KINDS if kind.member}

    def build(version: int, **objects: Any) -> Catalogue:  # noqa: ANN401 - rows of any kind
        rows = nothing | {name.replace("_", "-"): {value.id: value} for name, value in objects.items()}
        return builder.build(Changed(version, rows, {}, (), (), NEVER_MS), 0).catalogue

    shop, campaign = Advertiser(id=1, name="shop"), Campaign(id=1, advertiser_id=1, name="campaign")
    assert build(1, line_items=line_item(1)).line_items == ()
    assert build(2, campaigns=campaign).campaigns == ()
    whole = build(3, advertisers=shop)
    assert (whole.line_items, whole.campaigns) == ((line_item(1),), (campaign,))
    gone = build(4, advertisers=msgspec.structs.replace(shop, status=Status.ARCHIVED))
    assert (gone.line_items, gone.campaigns, [each.id for each in gone.archived_advertisers]) == ((), (), [1])
    back = build(5, advertisers=shop)
    assert (back.line_items, back.archived_advertisers) == ((line_item(1),), ())
    assert build(6, campaigns=msgspec.structs.replace(campaign, advertiser_id=2)).line_items == ()
