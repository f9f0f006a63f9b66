import io

import msgspec
from rich.console import Console

from admin.cli.doctor import show
from admin.diagnosis.findings import Report, Severity
from admin.diagnosis.told import found


def test_a_row_of_several_findings_names_the_command_that_lists_them() -> None:
    hours = found("line_item.hours", 7, hour="Monday 10:00", zone="Europe/Warsaw")
    row = msgspec.structs.replace(hours, severity=Severity.NOTE, more=2)
    shown = io.StringIO()
    show(Report.of([found("line_items.deliver", count=1, all=2), row]), Console(file=shown, width=300))
    assert f"{hours.text} (and 2 more: `grosz doctor --line-item 7`)" in shown.getvalue()
    assert "nothing stops delivery" in shown.getvalue()


def test_what_stops_alone_is_told_without_a_table() -> None:
    shown = io.StringIO()
    show(Report.of([found("catalogue.none")]), Console(file=shown, width=300))
    assert shown.getvalue() == "no catalogue is published\n-> start the admin role\n"
