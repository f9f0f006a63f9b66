"""User agents: whether they say that they are a crawler's or a program's, by a list that is kept in public."""

import enum
import functools
import re

# The same user agents come again and again: the answers are remembered, 300 bytes each. Longer ones are matched anew.
REMEMBERED_AGENTS = 16_384
MAX_REMEMBERED_CHARS = 512

# No browser's user agent is longer: it is cut before a thousand patterns are matched against it.
MAX_AGENT_CHARS = 2_048

# Tags in the kept list of crawlers for programs that fetch pages on somebody's behalf and are no search engine.
PROGRAM_TAGS = frozenset({"http-library", "browser-automation", "scanner"})


class Agent(enum.Enum):
    """Whom a user agent belongs to."""

    UNKNOWN = "a person's, as far as anybody can tell"
    CRAWLER = "a crawler's"
    PROGRAM = "a program's"


def agent_of(agent: str) -> Agent:
    """Whether a user agent is a person's, a crawler's or a program's."""
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
    """The patterns of crawlers and those of programs, 25 joined into one: one of hundreds makes Python's `re` slow."""
    # Imported at the first question: the list takes 2 MB, which most bidders never need. The package has no types.
    import crawleruseragents  # type: ignore[import-untyped]

    kinds: tuple[list[str], list[str]] = ([], [])
    for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA:
        kinds[not PROGRAM_TAGS.isdisjoint(entry.get("tags", ()))].append(entry["pattern"])
    crawlers, programs = (
        [re.compile("|".join(kind[at : at + 25])) for at in range(0, len(kind), 25)] for kind in kinds
    )
    return crawlers, programs
