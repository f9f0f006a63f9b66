"""A page as a picture, by the headless Chromium of this machine."""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from core.processes import give_way
from creatives.formats.offer import Size
from creatives.preview.gate import WayOut

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")

# A page has so long to load and to come to rest; waiting for an animation's last frame could leave no picture at all.
PAGE_MS: Final = 3_000
TIMEOUT_S: Final = 60.0
MAX_PICTURE_BYTES: Final = 8 * 1024 * 1024
_NICENESS: Final = 5

_OPTIONS: Final = (
    "--headless=new", "--disable-gpu", "--hide-scrollbars", "--mute-audio", "--no-first-run", "--disable-sync",
    "--disable-extensions", "--disable-background-networking", "--disable-component-update",
    "--disable-client-side-phishing-detection", "--disable-features=OptimizationHints,MediaRouter",
    "--disable-quic", "--disable-dev-shm-usage",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp", "--proxy-bypass-list=<-loopback>",
)  # fmt: skip


def find_program() -> str | None:
    """Chromium, where there is one."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


def browser_arguments(gate_port: int, folder: str) -> tuple[str, ...]:
    """What every Chromium is started with here: its only way out is the gate, what it keeps lies in `folder`."""
    # Its own sandbox needs a user that is not root. Without --test-type a bar of 87 pixels above the page warns of
    # that, and low banners are cut by as much.
    root = ("--no-sandbox", "--test-type") if os.geteuid() == 0 else ()
    return (*_OPTIONS, *root, f"--proxy-server=127.0.0.1:{gate_port}", f"--user-data-dir={folder}/profile")


def own_address(track_url: str) -> tuple[str, int]:
    """Host and port of the tracker."""
    parts = urlsplit(track_url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


class PreviewBrowser:
    """Renders one page at a time, through a gate that leads to the public internet and our own tracker alone."""

    def __init__(self, program: str, own: tuple[str, int]) -> None:
        self._program = program
        self._own = own

    async def picture(self, url: str, size: Size) -> bytes | None:
        """The page as PNG; None where the browser gives none in time."""
        with tempfile.TemporaryDirectory(prefix="grosz-preview-", ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "ad.png"
            async with WayOut(self._own) as gate:
                await self._run(url, size, gate.port, Path(folder), path)
            if not path.is_file() or not 0 < path.stat().st_size <= MAX_PICTURE_BYTES:
                return None
            return path.read_bytes()

    async def _run(self, url: str, size: Size, port: int, folder: Path, path: Path) -> None:
        process = await asyncio.create_subprocess_exec(
            self._program, *browser_arguments(port, str(folder)), f"--window-size={size[0]},{size[1]}",
            f"--screenshot={path}", f"--virtual-time-budget={PAGE_MS}", url,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True, env={"HOME": str(folder), "PATH": os.environ.get("PATH", "")},
        )  # fmt: skip
        give_way(process.pid, _NICENESS)
        try:
            await asyncio.wait_for(process.wait(), TIMEOUT_S)
        except TimeoutError:
            pass  # the browser is ended below, and there is no picture
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
