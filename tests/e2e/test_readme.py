"""The first steps of README.md do what they say."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.kit.fixtures import REPOSITORY
from tests.kit.processes import RunningGrosz, clean_environment, grosz

# The request has a tenth of a second, which may pass where other tests have the processor.
TRIES = 5

pytestmark = [pytest.mark.needs_package("curl"), pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGrosz]:
    with RunningGrosz(tmp_path_factory.mktemp("readme") / "data", "--seed", "demo") as started:
        yield started


def curl(*arguments: str) -> tuple[int, str]:
    """Status and body."""
    done = subprocess.run(
        ["curl", "-sS", "-w", "\n%{http_code}", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def test_the_request_in_the_repository_gets_a_bid_by_the_command_of_the_readme(running: RunningGrosz) -> None:
    (command,) = re.findall(r"^ *curl -i (.*)$", (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    asked = shlex.split(command.replace("http://127.0.0.1:8080", running.urls["bid"]))
    answers = (curl(*asked) for _ in range(TRIES))
    body = next((body for status, body in answers if status == HTTPStatus.OK), "")
    assert body, "no bid"
    assert json.loads(body)["seatbid"][0]["bid"][0]["price"] > 0


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/openrtb2/demo", "{}", 400, "no_impression"),
        ("/openrtb2/demo", "no json", 400, "not_json"),
        ("/openrtb2/nobody", "{}", 404, "no active exchange has this key"),
        ("/elsewhere", "{}", 404, "POST to /openrtb2/{exchange}"),
    ],
)
def test_a_refusal_says_why_to_who_tries_it_here_and_nothing_through_a_proxy(
    running: RunningGrosz, path: str, body: str, status: int, words: str
) -> None:
    sent = (f"{running.urls['bid']}{path}", "-H", "Content-Type: application/json", "-d", body)
    found, said = curl(*sent)
    assert (found, words in said) == (status, True), said
    assert curl(*sent, "-H", "X-Forwarded-For: 203.0.113.7") == (status, "")


def test_the_command_of_the_checkout_works_from_any_directory(tmp_path: Path) -> None:
    program = REPOSITORY / "scripts" / "grosz"
    shown = subprocess.run(
        [program, "--version"], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=True
    )
    assert shown.stdout == grosz("--version").stdout
