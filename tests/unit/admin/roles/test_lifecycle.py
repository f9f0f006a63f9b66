import asyncio
import logging
import os
import select
import signal
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp import web

from admin.roles import lifecycle
from admin.roles.lifecycle import EXIT_FAILED, RoleContext, run
from core.config import Settings
from core.processes import READY_PIPE


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def terminate_soon() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_role_drains_before_it_closes_and_closes_in_reverse() -> None:
    steps: list[str] = []

    def step(name: str) -> lifecycle.AsyncAction:
        async def record() -> None:
            steps.append(name)

        return record

    async def build(role: RoleContext) -> None:
        role.on_close(step("close redis"))
        role.on_close(step("flush events"))
        role.on_drain(step("stop accepting"))
        terminate_soon()

    assert run("tracker", build, Settings(), {}) == 0
    assert steps == ["stop accepting", "flush events", "close redis"]


def test_a_failed_loop_is_started_again_and_ends_no_role(capsys: pytest.CaptureFixture[str]) -> None:
    starts: list[int] = []

    async def build(role: RoleContext) -> None:
        async def fail_twice() -> None:
            starts.append(len(starts))
            if len(starts) == 1:
                raise ValueError("undecodable")
            if len(starts) == 3:
                terminate_soon()
                await asyncio.Event().wait()

        async def read_counter() -> None:
            (family,) = [f for f in role.telemetry.families() if f.name == "grosz_loop_failures_total"]
            assert [(sample.labels, sample.value) for sample in family.samples] == [({"loop": "ledger flush"}, 2)]

        role.run_loop(fail_twice, "ledger flush")
        role.on_close(read_counter)

    assert run("worker", build, Settings(), {}) == 0
    assert starts == [0, 1, 2]
    logged = capsys.readouterr().err
    assert "background loop failed" in logged
    assert "background loop ended" in logged
    assert "undecodable" in logged
    assert "AssertionError" not in logged


def test_one_failed_step_does_not_keep_the_others_from_closing(capsys: pytest.CaptureFixture[str]) -> None:
    closed: list[str] = []

    async def build(role: RoleContext) -> None:
        async def close() -> None:
            closed.append("redis")

        async def fail() -> None:
            raise OSError("disk is full")

        role.on_close(close)
        role.on_close(fail)
        terminate_soon()

    assert run("worker", build, Settings(), {}) == 0
    assert closed == ["redis"]
    assert "disk is full" in capsys.readouterr().err


def test_role_says_ready_once_its_checks_agree() -> None:
    reading, writing = os.pipe()

    async def build(role: RoleContext) -> None:
        missing = ["catalogue is missing"]
        role.health.require("catalogue", lambda: missing[0] if missing else None)

        async def arrive() -> None:
            await asyncio.sleep(0)
            missing.clear()
            while not select.select([reading], [], [], 0)[0]:  # noqa: ASYNC110 - it is said to another process
                await asyncio.sleep(0.01)
            terminate_soon()
            await asyncio.Event().wait()

        role.run_loop(arrive, "catalogue")

    assert run("bidder", build, Settings(), {READY_PIPE: str(writing)}) == 0
    assert os.read(reading, 64) == b"ready\n"
    os.close(reading)


def test_request_in_flight_is_finished_while_draining(free_port: int) -> None:
    answers: list[tuple[int, str]] = []

    async def build(role: RoleContext) -> None:
        async def slow(_request: web.Request) -> web.Response:
            terminate_soon()
            await asyncio.sleep(0.1)
            return web.Response(text="done")

        app = web.Application()
        app.add_routes([web.get("/slow", slow)])
        await role.serve(app, "127.0.0.1", free_port)

        async def ask() -> None:
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{free_port}/slow") as answer:
                answers.append((answer.status, await answer.text()))

        asking = asyncio.create_task(ask())
        role.on_close(lambda: asyncio.wait_for(asking, 5))

    assert run("tracker", build, Settings(), {}) == 0
    assert answers == [(200, "done")]


def test_drain_that_hangs_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "DRAIN_TIMEOUT_S", 0.05)

    async def build(role: RoleContext) -> None:
        async def hang() -> None:
            await asyncio.Event().wait()

        role.on_drain(hang)
        terminate_soon()

    assert run("worker", build, Settings(), {}) == EXIT_FAILED
