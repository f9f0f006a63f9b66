"""The doctor's look at stored profiles: whether a background pass is still bringing rules or a layout to them."""

import datetime
from collections.abc import Iterator

from admin.diagnosis.findings import Finding, fine, note
from admin.diagnosis.published import Commands
from core.errors import UnavailableError
from segments.facts.layout import HOT_VERSION
from segments.worker.reindex import Progress, read_progress


async def check_profiles(redis: Commands) -> list[Finding]:
    """Findings about the pass over all profiles."""
    try:
        return list(judge_pass(await read_progress(redis)))
    except UnavailableError as error:
        return [note("profiles", f"how far they are rewritten cannot be asked for: {error.message}")]


def judge_pass(progress: Progress) -> Iterator[Finding]:
    """Findings about where the pass stands."""
    done = f"{progress.share:.0%}, {progress.scanned} of about {progress.expected}"
    if progress.waiting:
        done = f"done, all {progress.scanned}"
    if progress.brings_layout:
        if progress.targets:
            text = f"they are rewritten in hot layout {HOT_VERSION}: {done}; bidders read the one before as well"
            text += _moment(progress)
        else:
            text = f"they are to be rewritten in hot layout {HOT_VERSION}; bidders read the one before as well"
        yield note("profiles", text, "keep a worker running; going back to the release before needs a backup")
    elif progress.targets:
        yield note("profiles", f"changed segment rules are brought to them: {done}{_moment(progress)}")
    else:
        yield fine("profiles", f"all are in hot layout {HOT_VERSION} and have seen the present segment rules")


def _moment(progress: Progress) -> str:
    """For a pass after which rules mean something else: when its windows begin to count, in words. Otherwise ""."""
    if not progress.takes_over_s:
        return ""
    moment = datetime.datetime.fromtimestamp(progress.takes_over_s, datetime.UTC)
    return f"; rules mean something else in this release, and all audiences change at {moment:%Y-%m-%d %H:%M:%S} UTC"
