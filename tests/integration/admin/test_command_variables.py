import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest
from typer._click.core import Command
from typer.core import TyperGroup

from admin.api.problem import problem_of
from admin.cli import COMMANDS, load_command
from admin.cli.object_access import call_api
from core.config import load_settings
from core.errors import Fault, GroszError, InputError, UnavailableError


def _parameters(command: Command) -> Iterator[tuple[str, str]]:
    """(command, variable) of everything below a command that is read from the environment."""
    for parameter in command.params:
        if isinstance(parameter.envvar, str):
            yield command.name or "", parameter.envvar
    if isinstance(command, TyperGroup):
        for inner in command.commands.values():
            yield from _parameters(inner)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_variable_of_a_command_keeps_another_from_starting(name: str) -> None:
    for _, variable in _parameters(load_command(name)):
        load_settings(None, {variable: "http://127.0.0.1:1"})


@pytest.mark.parametrize("url", ["localhost:8082", "nonsense", "http://127.0.0.1:1 8082", "http://127.0.0.1:99999999"])
def test_an_address_that_is_none_is_refused_in_words(url: str) -> None:
    with pytest.raises(GroszError) as caught:
        call_api("GET", f"{url}/v1/advertisers", "key")
    assert "GROSZ_ADMIN_URL" in caught.value.hint


@pytest.mark.parametrize("key", ["a\nb", "klucz\u2028", "ł"])
def test_a_key_that_no_header_can_carry_is_refused_in_words(key: str) -> None:
    with pytest.raises(InputError, match="API key") as caught:
        call_api("GET", "http://127.0.0.1:1/v1/advertisers", key)
    assert key not in str(caught.value)


@pytest.mark.parametrize("answer", [b"HTTP/1.0 200 OK\r\n\r\n<h1>It works!</h1>", b"SSH-2.0-OpenSSH_9.6\r\n"])
async def test_what_answers_and_is_no_admin_api_is_told(answer: bytes) -> None:
    async def say(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(say, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UnavailableError, match="does not answer"):
            await asyncio.to_thread(call_api, "GET", f"http://127.0.0.1:{port}/v1/advertisers", "key")


@contextlib.asynccontextmanager
async def _refusing(answer: bytes) -> AsyncIterator[str]:
    """The address of something that answers every request with a 422."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 422 Unprocessable Entity\r\n" + answer)
        writer.close()

    async with await asyncio.start_server(say, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/advertisers"


async def test_all_that_a_problem_says_is_in_the_error() -> None:
    """Every fault, with its pointer, message, hint, what is allowed, and what programs need of it."""
    errors = (
        Fault("/name", "required", "'name' is missing"),
        Fault("/goal", "not_allowed", "'cpx' is not one of the allowed values", "ask", ("cpm", "cpc")),
        Fault("/bid", "range", "the least is 1", parts={"least": "1"}),
    )
    told = problem_of(InputError("the input is not valid", hint="read the docs", code="faulty", faults=errors))
    async with _refusing(b"\r\n" + msgspec.json.encode(told)) as url:
        with pytest.raises(InputError) as caught:
            await asyncio.to_thread(call_api, "GET", url, "key")
    found = caught.value
    assert (found.message, found.hint, found.code, found.faults) == (told.detail, told.hint, told.code, errors)


async def test_a_problem_that_breaks_off_is_told_by_its_status() -> None:
    async with _refusing(b'Content-Length: 99\r\n\r\n{"detail"') as url:
        with pytest.raises(InputError, match="answered 422"):
            await asyncio.to_thread(call_api, "GET", url, "key")
