"""Every text that the console translates: found in templates and code, and in tables that pages show."""

from collections.abc import Iterator

from babel.messages.extract import extract_from_dir

from admin.console.kinds import targeting_fields
from admin.console.modifiers import LABELS
from admin.diagnosis.told import TEXTS
from admin.reports.inviting import QUESTION, SUBJECT
from core.model import Status
from core.reasons import NoBid
from segments.audiences.ready_made import READY_MADE
from tests.kit.fixtures import REPOSITORY

_FOLDER = REPOSITORY / "admin" / "console"
_METHODS = [("templates/**.html", "jinja2.ext:babel_extract"), ("**.py", "python")]


def messages() -> set[str]:
    """The texts, in English."""
    found = extract_from_dir(_FOLDER, _METHODS, keywords={"_": None, "N_": None})
    return {message if isinstance(message, str) else message[0] for _, _, message, _, _ in found} | set(_of_tables())


def _of_tables() -> Iterator[str]:
    yield from (status.value for status in Status)
    yield from ("pending", "approved", "rejected", "expired", "won", "lost", "unknown")
    yield from ("create", "update", "copy", "pause", "resume", "archive")
    yield from (field.label for field in targeting_fields())
    yield from LABELS.values()
    yield from TEXTS
    yield from (SUBJECT, QUESTION)
    yield from (text for reason in NoBid for text in (reason.text, reason.hint) if text)
    for segment in READY_MADE.values():
        yield from (segment.name, segment.summary)
        yield from (parameter.summary for parameter in segment.parameters)
