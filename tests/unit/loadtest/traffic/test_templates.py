from pathlib import Path

import orjson
import pytest

from loadtest.traffic.scenario import ScenarioError, TrafficPlan
from loadtest.traffic.templates import IMPOSSIBLE_FLOOR, body_sizes, make_templates, recorded_templates, synthetic_user

NOW_MS = 1_790_000_000_000
REQUEST_ID, USER = b"r" * 20, b"u" * 21 + b"z"


def bodies(plan: TrafficPlan, seed: int = 1) -> list[dict[str, object]]:
    return [orjson.loads(template.body(REQUEST_ID, USER)) for template in make_templates(plan, seed, NOW_MS)]


def test_a_body_is_json_with_the_ids_of_this_send() -> None:
    for template in make_templates(TrafficPlan(), 1, NOW_MS):
        body = template.body(REQUEST_ID, USER)
        request = orjson.loads(body)
        assert len(body) == template.size
        assert request["id"] == REQUEST_ID.decode()
        if template.has_user:
            assert (request["user"]["buyeruid"], request["user"]["id"]) == (USER.decode(), USER.decode()[::-1])
        else:
            assert "buyeruid" not in request["user"]


def test_bodies_have_the_size_of_modern_traffic() -> None:
    smallest, median, largest = body_sizes(make_templates(TrafficPlan(), 1, NOW_MS))
    assert smallest > 1_000
    assert 2_000 < median < 6_000
    assert largest < 8_000


def test_same_seed_same_templates() -> None:
    plan = TrafficPlan(templates=20)
    assert bodies(plan, 5) == bodies(plan, 5) != bodies(plan, 6)


def test_shares_of_the_plan_show_in_the_templates() -> None:
    plan = TrafficPlan(templates=2_000, native_share=0.1, video_share=0.2, no_user_share=0.4, two_impressions_share=0.0)
    templates = make_templates(plan, 3, NOW_MS)
    formats = [next(iter(next(iter(template.facts.impressions.values())).formats)) for template in templates]
    assert formats.count(4) / 2_000 == pytest.approx(0.1, abs=0.03)
    assert formats.count(2) / 2_000 == pytest.approx(0.2, abs=0.03)
    assert sum(not template.has_user for template in templates) / 2_000 == pytest.approx(0.4, abs=0.04)


def test_places_for_banners_may_take_other_formats_too() -> None:
    plan = TrafficPlan(templates=1_000, native_share=0.0, video_share=0.0, several_formats_share=0.3)
    imps = [imp.formats for template in make_templates(plan, 3, NOW_MS) for imp in template.facts.impressions.values()]
    several = [formats for formats in imps if {1, 2, 4} <= set(formats)]
    assert len(several) / len(imps) == pytest.approx(0.3, abs=0.06)
    assert all(1 in formats for formats in imps)


def test_profiles_are_permitted_only_with_full_consent_or_outside_of_gdpr() -> None:
    refused = TrafficPlan(templates=20, consent_full=0, consent_no_profile=0, consent_refused=0.5, consent_missing=0.5)
    assert not any(template.facts.profile_allowed for template in make_templates(refused, 1, NOW_MS))
    full = TrafficPlan(templates=20, consent_full=1, consent_no_profile=0, consent_refused=0, consent_missing=0)
    assert all(template.facts.profile_allowed for template in make_templates(full, 1, NOW_MS))


def test_domains_follow_a_zipf_law() -> None:
    domains = [str(body["site"]["domain"]) for body in bodies(TrafficPlan(templates=2_000)) if "site" in body]  # type: ignore[index]
    first = sum(domain.split(".")[0].endswith("-0") for domain in domains)
    tenth = sum(domain.split(".")[0].endswith("-9") for domain in domains)
    assert first > 5 * max(1, tenth)


def test_easy_traffic_has_no_obstacle_and_impossible_traffic_a_floor_that_nobody_pays() -> None:
    for body in bodies(TrafficPlan(templates=30, easy=True)):
        assert all(imp["bidfloor"] == 0 and "banner" in imp for imp in body["imp"])  # type: ignore[attr-defined]
        assert not body.keys() & {"bcat", "badv", "app"}
    for body in bodies(TrafficPlan(templates=30, impossible_share=1.0)):
        assert all(imp["bidfloor"] == IMPOSSIBLE_FLOOR for imp in body["imp"])  # type: ignore[attr-defined]


def test_made_users_are_stable_distinct_and_of_the_right_shape() -> None:
    users = {synthetic_user(1, index) for index in range(1_000)}
    assert len(users) == 1_000
    assert {len(user) for user in users} == {22}
    assert synthetic_user(1, 5) == synthetic_user(1, 5) != synthetic_user(2, 5)


def test_recorded_requests_become_templates_with_their_own_user_replaced(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_text(
        '{"id":"a","imp":[{"id":"1"}],"user":{"id":"x","buyeruid":"y","yob":1980}}\n\n{"request":{"imp":[{"id":"2"}],"id":"b"}}\n'
    )
    first, second = recorded_templates(file)
    assert orjson.loads(first.body(REQUEST_ID, USER))["user"] == {
        "id": USER.decode()[::-1], "buyeruid": USER.decode(), "yob": 1980,
    }  # fmt: skip
    assert orjson.loads(second.body(REQUEST_ID, b"")) == {"id": REQUEST_ID.decode(), "imp": [{"id": "2"}]}


def test_the_whole_corpus_can_be_sent(corpus: Path) -> None:
    for template in recorded_templates(corpus / "requests.jsonl"):
        assert orjson.loads(template.body(REQUEST_ID, USER))["id"] == REQUEST_ID.decode()


@pytest.mark.parametrize(("text", "message"), [("{", "line 1: not JSON"), ("[]", "line 1"), ("\n", "no bid request")])
def test_a_file_without_requests_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.jsonl").write_text(text)
    with pytest.raises(ScenarioError, match=message):
        recorded_templates(tmp_path / "bad.jsonl")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="cannot be read"):
        recorded_templates(tmp_path / "none.jsonl")
