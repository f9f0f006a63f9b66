"""ClickHouse's HTTP interface before chDB, which is ClickHouse in a library: run as a process with a folder.

`python -m tests.kit.clickhouse_face PORT FOLDER`. A statement comes as `?query=`, data as the body, settings as other
parameters, as with the real server.
"""

import asyncio
import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any

from aiohttp import web


async def serve(port: int, folder: str) -> None:
    session: Any = importlib.import_module("chdb.session").Session(folder)
    one_at_a_time = asyncio.Lock()

    def run(request: web.Request, body: bytes) -> web.Response:
        statement = request.query["query"]
        settings = [f"{name} = '{value}'" for name, value in request.query.items() if name != "query"]
        with tempfile.TemporaryDirectory() as scratch:
            if statement.startswith("INSERT"):
                # The library takes no data beside a statement, so the body is read from a file.
                data = Path(scratch) / "body"
                data.write_bytes(body)
                told, _, form = statement.partition(" FORMAT ")
                statement = f"{told} FROM INFILE '{data}' SETTINGS {', '.join(settings)} FORMAT {form}"
            elif settings:
                statement += f" SETTINGS {', '.join(settings)}"
            try:
                found = session.query(statement, request.headers.get("X-ClickHouse-Format", "JSONCompactEachRow"))
            except Exception as error:
                return web.Response(status=400, text=str(error))
            return web.Response(body=found.bytes() if found is not None else b"")

    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        async with one_at_a_time:
            return await asyncio.to_thread(run, request, body)

    app = web.Application(client_max_size=2**30)
    app.add_routes([web.post("/", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
