"""Every path that somebody can ask for stands in the threat model: whoever adds one has to say what could go wrong."""

import itertools
import re
from typing import Any, Final, cast
from unittest.mock import AsyncMock

from aiohttp import web

from admin.roles.ads_web import ad_page_routes
from admin.roles.health import health_routes
from admin.roles.page_lists_web import list_routes
from admin.roles.why_web import why_routes
from core.clock import ManualClock
from creatives.media.web import media_routes
from creatives.pages.web import widget_routes
from creatives.pictures.web import picture_routes
from creatives.preview.web import preview_routes
from creatives.web import routes as ad_routes
from pacing.notices.signals_web import signal_routes
from pacing.notices.web import routes as notice_routes
from segments.events.web import routes as shop_routes
from tests.kit.api import running_api
from tests.kit.fixtures import REPOSITORY

TEXT: Final = REPOSITORY.joinpath("THREAT_MODEL.md").read_text(encoding="utf-8")


def paths(app: web.Application) -> set[str]:
    """The paths of an application with one `{}` for each part that varies."""
    found = {resource.canonical for resource in app.router.resources()}
    return {re.sub(r"\{[^}]*\}", "{}", path) for path in found}


def named() -> tuple[set[str], tuple[str, ...]]:
    """Paths that the page names in backticks, and beginnings of paths (those that end in `...`)."""
    whole: set[str] = set()
    beginnings: list[str] = []
    for quoted in re.findall(r"`(?:[A-Z]+(?:\|[A-Z]+)* )?(/[^`\s]*)`", TEXT):
        for path in _written_out(quoted):
            known = re.sub(r"\{[^}]*\}", "{}", path)
            if known.endswith("..."):
                beginnings.append(known.removesuffix("..."))
            else:
                whole.add(known)
    return whole, tuple(beginnings)


def _written_out(path: str) -> list[str]:
    """`/n/{win,loss}/{token}` is two paths."""
    parts = re.split(r"(\{[^}]*,[^}]*\})", path)
    choices = [part[1:-1].split(",") if part.startswith("{") and "," in part else [part] for part in parts]
    return ["".join(chosen) for chosen in itertools.product(*choices)]


def missing(app: web.Application) -> list[str]:
    whole, beginnings = named()
    return sorted(path for path in paths(app) if path not in whole and not path.startswith(beginnings))


def test_every_path_of_the_track_port_is_in_the_threat_model() -> None:
    anything = cast(Any, AsyncMock())
    app = web.Application()
    app.add_routes(
        [
            *notice_routes(anything), *signal_routes(anything), *shop_routes(anything), *ad_routes(),
            *media_routes(anything), *health_routes(anything, with_metrics=True),
            *list_routes(anything), *widget_routes(),
            *why_routes(anything, anything, ManualClock()), *ad_page_routes(anything, ""),
            *picture_routes(anything, anything), *preview_routes(anything, anything),
        ]
    )  # fmt: skip
    assert missing(app) == []
    composed = REPOSITORY.joinpath("admin/roles/tracker.py").read_text(encoding="utf-8").partition("app.add_routes(")[2]
    ours = "notice_routes signal_routes shop_routes list_routes widget_routes ad_routes media_routes preview_routes"
    ours += " why_routes ad_page_routes picture_routes"
    assert set(re.findall(r"\*(\w+_routes)\(", composed)) == set(ours.split()), "the role's routes are those above"


async def test_every_path_of_the_admin_port_is_in_the_threat_model(
    any_database_url: str, valkey: str, clock: ManualClock
) -> None:
    async with running_api(any_database_url, valkey, clock) as api:
        app = api.client.app
        assert app is not None
        assert len(paths(app)) > 100
        assert missing(app) == []
