"""Whose profile may be looked up."""

import pytest

from bidder.request.auction import Auction
from bidder.request.consent import CONTEXTUAL, EVERYTHING
from bidder.request.identify import identify
from tests.kit.openrtb import USER_ID, auction_of


def identified(**user: object) -> Auction:
    auction = auction_of(user=user)
    auction.consent = EVERYTHING
    identify(auction)
    return auction


def test_our_own_id_is_preferred() -> None:
    auction = identified(id="theirs", buyeruid=USER_ID)
    assert (auction.user_id, auction.exchange_user) == (USER_ID, None)


def test_the_older_name_of_our_id_is_known() -> None:
    assert identified(buyerid=USER_ID).user_id == USER_ID


@pytest.mark.parametrize("foreign", ["", "x", USER_ID + "x", "ż" * 22, "a b" * 7 + "c"])
def test_an_id_that_is_not_ours_leaves_the_exchange_s(foreign: str) -> None:
    auction = identified(id="theirs", buyeruid=foreign)
    assert (auction.user_id, auction.exchange_user) == (None, "theirs")


@pytest.mark.parametrize("exchange_id", [None, "", "x" * 129])
def test_an_exchange_s_id_must_be_there_and_fit_a_key(exchange_id: str | None) -> None:
    auction = identified(id=exchange_id)
    assert (auction.user_id, auction.exchange_user) == (None, None)


def test_a_request_without_user_identifies_nobody() -> None:
    auction = auction_of()
    auction.consent = EVERYTHING
    identify(auction)
    assert (auction.user_id, auction.exchange_user) == (None, None)


@pytest.mark.parametrize("consent", [CONTEXTUAL, None])
def test_without_permission_every_identifier_is_removed(consent: object) -> None:
    auction = auction_of(
        user={
            "id": "theirs",
            "buyeruid": USER_ID,
            "consent": "C",
            "eids": [{"source": "s", "uids": [{"id": "i"}]}],
            "ext": {"eids": [{"source": "s", "uids": [{"id": "i"}]}]},
        },
        device={"ifa": "6D92078A-8246-4BA4-AE5B-76104861E7DC", "ip": "10.0.0.1", "ipv6": "::1", "ua": "agent"},
    )
    auction.consent = CONTEXTUAL if consent is CONTEXTUAL else None
    identify(auction)
    assert (auction.user_id, auction.exchange_user) == (None, None)
    user, device = auction.request.user, auction.request.device
    assert user is not None
    assert device is not None
    assert (user.id, user.buyeruid, user.buyerid, user.eids, user.ext) == (None,) * 5
    assert (device.ifa, device.ip, device.ipv6) == (None, None, None)
    assert (user.consent, device.ua) == ("C", "agent")
