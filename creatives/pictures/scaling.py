"""A shop's picture as an ad shows it: decoded, scaled and saved as WebP, in a process that does nothing else.

Pictures of feeds are anybody's files, and decoders have faults. What is larger than the bounds is refused by its head,
before anything is decoded; what is no picture is refused by its first bytes.
"""

import asyncio
import concurrent.futures
import io
from typing import Final

from core.errors import UnavailableError
from core.pools import background_pool
from creatives.children import CHILD_NICENESS

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_PIXELS: Final = 40_000_000
"""A camera's 40 megapixels; decoded that is 160 MB, for a moment, in a process of its own."""

FORMATS: Final = ("PNG", "JPEG", "GIF", "WEBP")
"""What browsers show; SVG is a document that can carry scripts."""

QUALITY: Final = 80
# Decoders leak memory; the end of a process gives back what it took.
PICTURES_A_PROCESS: Final = 200
SCALE_S: Final = 10.0


class PictureError(ValueError):
    """What cannot be shown, and why."""


def scaled(data: bytes, width: int, height: int) -> bytes:
    """WebP of exactly this size, the whole picture on white in its middle. Raises PictureError."""
    from PIL import Image, ImageOps

    if len(data) > MAX_BYTES:
        raise PictureError(f"{len(data)} bytes")
    Image.MAX_IMAGE_PIXELS = None  # Pillow's own bound is a warning; ours is looked at before anything is decoded
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise PictureError(f"{image.width}x{image.height} pixels")
            image.draft("RGB", (2 * width, 2 * height))  # a JPEG is decoded at a fraction of its size
            upright = ImageOps.exif_transpose(image).convert("RGBA")
    except PictureError:
        raise
    except Exception as error:
        # Each decoder raises errors of its own classes; whichever it is, these bytes are no picture.
        raise PictureError(f"no picture: {type(error).__name__}") from None
    fitted = ImageOps.contain(upright, (width, height))
    page = Image.new("RGB", (width, height), "white")
    page.paste(fitted, ((width - fitted.width) // 2, (height - fitted.height) // 2), fitted)
    out = io.BytesIO()
    page.save(out, "WEBP", quality=QUALITY)
    return out.getvalue()


class ScaleInChild:
    """Scales in a child process, which is made when it is needed and replaced after PICTURES_A_PROCESS pictures."""

    def __init__(self) -> None:
        self._executor: concurrent.futures.ProcessPoolExecutor | None = None

    async def __call__(self, data: bytes, width: int, height: int) -> bytes:
        """See `scaled`. Raises PictureError, UnavailableError when the child died or takes too long."""
        if self._executor is None:
            self._executor = background_pool(CHILD_NICENESS, PICTURES_A_PROCESS)
        try:
            async with asyncio.timeout(SCALE_S):
                return await asyncio.wrap_future(self._executor.submit(scaled, data, width, height))
        except (concurrent.futures.process.BrokenProcessPool, TimeoutError) as error:
            await self.close()
            raise UnavailableError("the process that scales pictures died", hint="it is made anew") from error

    async def close(self) -> None:
        """End the child; it gives back its memory."""
        executor, self._executor = self._executor, None
        if executor is not None:
            for process in list((executor._processes or {}).values()):
                process.kill()
            executor.shutdown(wait=False, cancel_futures=True)
