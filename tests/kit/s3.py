"""An S3-compatible server for tests: moto's, over real HTTP."""

import contextlib
import urllib.request
from collections.abc import Iterator

from moto.server import ThreadedMotoServer

from creatives.media.bucket import Bucket, BucketPlace

BUCKET = "media-of-shops"


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """The address of a server with an empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        emptied(endpoint)
        yield endpoint
    finally:
        server.stop()


def emptied(endpoint: str) -> None:
    """Forget everything; all servers of a process have one memory."""
    urllib.request.urlopen(f"{endpoint}/moto-api/reset", data=b"", timeout=60).close()
    Bucket(place(endpoint)).make()


def place(endpoint: str) -> BucketPlace:
    """The bucket on a server."""
    return BucketPlace(BUCKET, endpoint, "us-east-1", "key", "secret", "grosz/")
