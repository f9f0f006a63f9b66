"""User agents: whether they say that they are a crawler's or a program's, by a list that is kept in public."""

import enum
import functools
import re

# Agents come again and again; 300 bytes each. Longer ones are read each time.
REMEMBERED_AGENTS = 16_384
MAX_REMEMBERED_CHARS = 512

# Longer agents are no browser's: they are cut before a thousand patterns look at them.
MAX_AGENT_CHARS = 2_048

# Of the kept list of crawlers: what a program calls itself that fetches pages for somebody, and no search engine.
PROGRAM_TAGS = frozenset({"http-library", "browser-automation", "scanner"})


class Agent(enum.Enum):
    """Whose a user agent is."""

    UNKNOWN = "a person's, as far as anybody can tell"
    CRAWLER = "a crawler's"
    PROGRAM = "a program's"


def agent_of(agent: str) -> Agent:
    """Whose a user agent is."""
    known = _kind_of if len(agent) <= MAX_REMEMBERED_CHARS else _kind_of.__wrapped__
    return known(agent[:MAX_AGENT_CHARS])


@functools.lru_cache(maxsize=REMEMBERED_AGENTS)
def _kind_of(agent: str) -> Agent:
    crawlers, programs = _patterns()
    if any(pattern.search(agent) for pattern in programs):
        return Agent.PROGRAM
    return Agent.CRAWLER if any(pattern.search(agent) for pattern in crawlers) else Agent.UNKNOWN


@functools.cache
def _patterns() -> tuple[list[re.Pattern[str]], list[re.Pattern[str]]]:
    """Of crawlers and of programs, some patterns in one: hundreds in one make Python's regular expressions slow."""
    # Read where somebody asks: 2 MB that most bidders never need. The package has no types.
    import crawleruseragents  # type: ignore[import-untyped]

    kinds: tuple[list[str], list[str]] = ([], [])
    for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA:
        kinds[not PROGRAM_TAGS.isdisjoint(entry.get("tags", ()))].append(entry["pattern"])
    crawlers, programs = (
        [re.compile("|".join(kind[at : at + 25])) for at in range(0, len(kind), 25)] for kind in kinds
    )
    return crawlers, programs
