"""What is said about a person's wishes counts at every port, and a placeholder is nobody."""

import pytest

from core.clock import ManualClock
from core.ids import new_user_id
from core.keys import exchange_user
from segments.identity.persons import MAX_CLAIMS
from tests.kit.tracker import API_KEY, shop

SERVER = {"Authorization": f"Bearer {API_KEY}"}
VIEW = {"event": "view_item", "items": [{"item_id": "a"}], "gdpr": 1, "consent": "all"}


@pytest.mark.parametrize(
    "members",
    [
        {"ad_storage": "denied"}, {"ad_personalization": False}, {"ad_personalization": "denied "}, {"npa": 1},
        {"non_personalized_ads": True}, {"us_privacy": "1YYN"}, {"us_privacy": "?"}, {"gpp": "DBAA"}, {"gpp_sid": "7"},
        {"consent": {"ad_user_data": "denied"}}, {"params": {"ad_storage": "denied"}}, {"coppa": 1}, {"gpc": 1},
    ],
)  # fmt: skip
async def test_a_wish_beside_gdpr_0_keeps_the_event_out(
    valkey: str, clock: ManualClock, members: dict[str, object]
) -> None:
    async with shop(valkey, clock) as site:
        assert (await site.client.post("/e/1", json={**VIEW, "gdpr": 0, **members})).status == 204
        late = {**VIEW, "gdpr": 0, **members, "user_id": "u" * 22}
        answer = await site.client.post("/e/1", json=late, headers=SERVER)
        assert (await answer.json())["results"][0]["status"] == "dropped"
        assert await site.rig.settle() == 0
        assert site.user_id() == ""


@pytest.mark.parametrize(
    "query",
    [
        "us_privacy=1YYN", "gpp=garbage", "gpp_sid=7", "npa=1", "non_personalized_ads=true", "ad_storage=denied",
        "gpc=1", "coppa=1", "us_privacy=1", "gdpr=1", "npa=0&npa=1", "us_privacy=1YNN&us_privacy=1NNN",
    ],
)  # fmt: skip
async def test_a_wish_keeps_a_sync_out(valkey: str, clock: ManualClock, query: str) -> None:
    async with shop(valkey, clock) as site:
        refused = await site.client.get(f"/sync/demo?uid=theirs-1&gdpr=0&{query}", allow_redirects=False)
        assert refused.status == 451
        assert await site.rig.store.commands([("EXISTS", exchange_user(5, "theirs-1"))]) == [0]
        assert site.user_id() == ""


async def test_global_privacy_control_counts_for_browsers_and_not_for_servers(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        header = {"Sec-GPC": "1"}
        assert (await site.client.get("/sync/demo?uid=a-1&gdpr=0", headers=header, allow_redirects=False)).status == 451
        await site.client.post("/e/1", json=VIEW, headers=header)
        assert await site.rig.settle() == 0
        await site.client.post("/e/1", json={**VIEW, "user_id": "u" * 22}, headers=SERVER | header)
        assert await site.rig.settle() == 1


@pytest.mark.parametrize(
    "uid",
    ["$UID", "[UID]", "${USER_ID}", "{uid}", "0", "-1", "null", "undefined", "00000000-0000-0000-0000-000000000000",
     "OPTOUT", "<b>x</b>"],
)  # fmt: skip
async def test_a_placeholder_binds_nothing(valkey: str, clock: ManualClock, uid: str) -> None:
    async with shop(valkey, clock) as site:
        answer = await site.client.get("/sync/demo", params={"uid": uid, "gdpr": "0"}, allow_redirects=False)
        assert answer.status in (200, 302)
        (keys,) = await site.rig.store.commands([("KEYS", "x:*")])
        assert keys == []
        assert await site.rig.store.commands([("EXISTS", f"al:{{{site.user_id()}}}")]) == [0]


async def test_an_id_that_too_many_browsers_claim_binds_to_nobody(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:

        async def known() -> str | None:
            deadline = clock.monotonic() + 60
            batch = await site.rig.reader.fetch([(None, 5, "shared")], clock.now_ms(), deadline)
            return batch.user_ids[0]

        users = [new_user_id() for _ in range(MAX_CLAIMS + 1)]
        for user in users[:-1]:
            assert await site.identities.bind(5, "shared", user)
            assert await known() == user
        assert await site.identities.bind(5, "shared", users[-2]), "the same browser again"
        assert not await site.identities.bind(5, "shared", users[-1])
        assert await known() is None
        assert not await site.identities.bind(5, "shared", users[0])
        clock.advance(86_400)
        assert await site.identities.bind(5, "shared", users[0])
        assert await known() == users[0]
        for _ in range(3):  # one change a day is a browser that was cleared
            for user in users[:2]:
                clock.advance(86_400)
                assert await site.identities.bind(5, "shared", user)
