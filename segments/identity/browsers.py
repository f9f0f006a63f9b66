"""Which family of browser sent a request, for match rates: seven words do, so no user-agent parser is loaded."""

from typing import Final

# In this order: each later one also appears in the user agents of the earlier ones.
_MARKS: Final = (
    ("edg", "edge"),
    ("opr/", "opera"),
    ("samsungbrowser", "samsung"),
    ("firefox", "firefox"),
    ("fxios", "firefox"),
    ("chrome", "chrome"),
    ("crios", "chrome"),
    ("safari", "safari"),
)


def browser_of(user_agent: str) -> str:
    """edge, opera, samsung, firefox, chrome, safari or other."""
    lowered = user_agent.lower()
    return next((name for mark, name in _MARKS if mark in lowered), "other")
