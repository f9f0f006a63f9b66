"""What a browser may be led to, and whose forms are taken."""

import pytest

from admin.api.problem import ApiError
from admin.console.browser import own_path, refuse_other_sites


@pytest.mark.parametrize("path", ["/", "/line-items?q=a&status=paused", "/line-items/3/delivery"])
def test_paths_of_the_console_are_kept(path: str) -> None:
    assert own_path(path) == path


@pytest.mark.parametrize(
    "path",
    ["", "line-items", "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example/",
     "javascript:alert(1)", "/a\nSet-Cookie: x=1", "/\t/evil.example", "/a\\..\\b", "http:/evil.example"],
)  # fmt: skip
def test_everything_else_leads_to_the_overview(path: str) -> None:
    assert own_path(path) == "/"


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "https://grosz.shop.example"},
     {"Sec-Fetch-Site": "same-origin", "Origin": "null"}],
)  # fmt: skip
def test_own_forms_are_taken(headers: dict[str, str]) -> None:
    refuse_other_sites(headers, "grosz.shop.example")


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"},
     {"Origin": "null"}, {"Origin": "https://grosz.shop.example.evil.example"},
     {"Sec-Fetch-Site": "cross-site", "Origin": "https://grosz.shop.example"}],
)  # fmt: skip
def test_forms_of_other_sites_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ApiError) as refusal:
        refuse_other_sites(headers, "grosz.shop.example")
    assert refusal.value.status == 403
