"""The doctor's look at stored profiles: whether a background pass is still bringing rules or a layout to them."""

import datetime
from collections.abc import Iterator

from admin.diagnosis.findings import Finding
from admin.diagnosis.published import Commands
from admin.diagnosis.told import found
from core.errors import UnavailableError
from segments.facts.layout import HOT_VERSION
from segments.worker.reindex import Progress, read_progress


async def check_profiles(redis: Commands) -> list[Finding]:
    """Findings about the pass over all profiles."""
    try:
        return list(judge_pass(await read_progress(redis)))
    except UnavailableError as error:
        return [found("profiles.unreadable", fault=error.message)]


def judge_pass(progress: Progress) -> Iterator[Finding]:
    """Findings about where the pass stands."""
    done = f"{progress.share:.0%}, {progress.scanned} of about {progress.expected}"
    if progress.waiting:
        done = f"done, all {progress.scanned}"
    moment = _moment(progress)
    if progress.brings_layout and progress.targets:
        code = "profiles.rewritten_and_ruled" if moment else "profiles.rewritten"
        yield found(code, count=HOT_VERSION, progress=done, moment=moment)
    elif progress.brings_layout:
        yield found("profiles.to_be_rewritten", count=HOT_VERSION)
    elif progress.targets:
        yield found("profiles.all_ruled" if moment else "profiles.ruled", progress=done, moment=moment)
    else:
        yield found("profiles.current", count=HOT_VERSION)


def _moment(progress: Progress) -> str:
    """When the windows of a pass begin to count after which rules mean something else, in UTC; "" of any other."""
    if not progress.takes_over_s:
        return ""
    moment = datetime.datetime.fromtimestamp(progress.takes_over_s, datetime.UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
