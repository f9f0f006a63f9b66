"""An S3-compatible server for tests: moto's, over real HTTP."""

import contextlib
import urllib.request
from collections.abc import Iterator

from moto.server import ThreadedMotoServer

from core.bucket import Bucket, BucketPlace, BucketUse
from creatives.media.s3_store import MEDIA

BUCKET = "media-of-shops"
JOURNAL = BucketUse("the store of the journal's mirror", "journal.mirror_")


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
    """Empty the server; all servers in one process share their memory."""
    urllib.request.urlopen(f"{endpoint}/moto-api/reset", data=b"", timeout=60).close()
    Bucket(place(endpoint), MEDIA).make()


def place(endpoint: str) -> BucketPlace:
    """The bucket on a server."""
    return BucketPlace(BUCKET, endpoint, "us-east-1", "key", "secret", "grosz/")
