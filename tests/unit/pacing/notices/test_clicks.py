"""What a request says of a click before it is counted."""

import pytest

from pacing.notices.clicks import ClickFault, fault_of

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.mark.parametrize(
    ("agent", "purpose", "fault"),
    [
        (FIREFOX, "", None),
        ("", "", None),
        (FIREFOX, "prefetch;prerender", ClickFault.BOT),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "", ClickFault.BOT),
        ("python-requests/2.32", "", ClickFault.BOT),
        ("curl/8.5.0", "", ClickFault.BOT),
    ],
)
def test_bots_say_so(agent: str, purpose: str, fault: ClickFault | None) -> None:
    assert fault_of(agent, purpose) is fault
