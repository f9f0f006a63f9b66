"""A bucket of an S3-compatible store (AWS, MinIO, Ceph, R2, ...), by its HTTP interface.

The client is boto3's, in threads: media are uploaded some times a day and fetched once by each machine, and the
journal's mirror has a thread of its own. Its faults end here, as sentences.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from core.errors import ConfigError, UnavailableError

CONNECT_S: Final = 3
READ_S: Final = 20

# Calls of one process that are under way at once: anybody may ask for names that do not exist, and such calls must not
# take all threads of a tracker.
CALLS_AT_ONCE: Final = 4
WAIT_S: Final = 5

PAGE: Final = 1_000
"""The most names in one answer."""

READ_BYTES: Final = 64 * 1024 * 1024
"""The most that `read` takes into memory: a party that can write into the bucket must not be able to fill it."""

_CHUNK: Final = 1024 * 1024
_FAULT_CHARS: Final = 200  # of an error's text: a store behind a proxy would otherwise put pages of HTML into the log
_MISSING: Final = ("404", "NoSuchKey", "NotFound")
_EXISTS: Final = ("412", "PreconditionFailed")

_Answer = TypeVar("_Answer")


class BucketPlace(NamedTuple):
    """Where a bucket is, and the keys to it; empty keys are taken from the machine (environment, files, its role)."""

    bucket: str
    endpoint: str = ""
    region: str = ""
    access_key: str = ""
    secret_key: str = ""
    prefix: str = ""


class BucketUse(NamedTuple):
    """What a bucket is for, as error messages name it."""

    what: str  # "the store of media"
    settings: str  # what the names of its settings begin with: "media."


class Bucket:
    """Objects by name. Every method raises UnavailableError where the store does not answer or refuses."""

    def __init__(self, place: BucketPlace, use: BucketUse, page: int = PAGE) -> None:
        """Raises ConfigError where the client library is not installed or the endpoint is not valid."""
        self._place, self._use = place, use
        self._page = page
        self._client = _client(place, use)
        self._free = threading.BoundedSemaphore(CALLS_AT_ONCE)

    def make(self) -> None:
        """Make the bucket itself."""
        self._call(lambda: self._client.create_bucket(Bucket=self._place.bucket))

    def put(self, name: str, path: Path, mime: str) -> None:
        """Store a file; it is durable once this returns."""
        with path.open("rb") as file:
            self._call(
                lambda: self._client.put_object(
                    Bucket=self._place.bucket, Key=self._key(name), Body=file, ContentType=mime
                )
            )

    def create(self, name: str, content: bytes) -> bool:
        """Store a content under an unused name; False, without any effect, where the name exists already."""

        def upload() -> bool:
            self._client.put_object(
                Bucket=self._place.bucket, Key=self._key(name), Body=content, IfNoneMatch="*",
                ContentType="application/octet-stream",
            )  # fmt: skip
            return True

        return self._call(upload, False, _EXISTS)

    def read(self, name: str) -> bytes | None:
        """An object's content; None where there is none."""

        def download() -> list[bytes]:
            return [b"".join(self._chunks(name, READ_BYTES))]

        nothing: list[bytes] = []
        found = self._call(download, nothing)
        return found[0] if found else None

    def get(self, name: str, path: Path, most: int) -> bool:
        """Write an object of at most `most` bytes into a file; False where there is no such object."""

        def download() -> bool:
            chunks = self._chunks(name, most)
            with path.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
            return True

        return self._call(download, False)

    def has(self, name: str) -> bool:
        """Whether there is such an object."""

        def head() -> bool:
            self._client.head_object(Bucket=self._place.bucket, Key=self._key(name))
            return True

        return self._call(head, False)

    def names(self, under: str = "") -> Iterator[str]:
        """The names of all objects, or of those that begin with `under`, in ascending order."""
        more: dict[str, str] = {}
        while True:
            asked = {"Bucket": self._place.bucket, "Prefix": self._key(under), "MaxKeys": self._page, **more}
            page: dict[str, Any] = self._call(partial(self._client.list_objects_v2, **asked))
            found = [each.get("Key") for each in page.get("Contents", ())]
            # A well-formed answer that is no listing, such as a network's login page, would count as an empty bucket.
            if "IsTruncated" not in page or None in found:
                raise self._odd()
            yield from (name.removeprefix(self._place.prefix) for name in found)
            if not page["IsTruncated"]:
                return
            before, more = more, {"ContinuationToken": page.get("NextContinuationToken", "")}
            if more in (before, {"ContinuationToken": ""}):  # it would be the same page again, without end
                raise self._odd()

    def remove(self, name: str) -> None:
        """Remove an object; no effect where it is gone already."""
        self._call(lambda: self._client.delete_object(Bucket=self._place.bucket, Key=self._key(name)))

    def _key(self, name: str) -> str:
        return f"{self._place.prefix}{name}"

    def _chunks(self, name: str, most: int) -> Iterator[bytes]:
        """The pieces of a content; the store is asked for it when the first piece is taken."""
        left = most
        body = self._client.get_object(Bucket=self._place.bucket, Key=self._key(name))["Body"]
        with contextlib.closing(body):
            for chunk in body.iter_chunks(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise UnavailableError(self._says(f"has more than {most} bytes under {name}"))
                yield chunk

    def _call(
        self, ask: Callable[[], _Answer], otherwise: _Answer | None = None, expected: tuple[str, ...] = _MISSING
    ) -> _Answer:
        """The result of `ask`; `otherwise` where the store answers with an `expected` code. Raises UnavailableError."""
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        if not self._free.acquire(timeout=WAIT_S):
            raise UnavailableError(self._says("has too many calls under way"), hint="ask again in some seconds")
        try:
            return ask()
        except ClientError as error:
            fault = error.response.get("Error", {})
            code = str(fault.get("Code", ""))
            if otherwise is not None and code in expected:
                return otherwise
            raise UnavailableError(
                self._says(f"refuses: {_line(code)} {_line(fault.get('Message', ''))}"),
                hint=f"see {self._use.settings}bucket, and whose keys it is asked with",
            ) from None
        except BotoCoreError as error:
            raise UnavailableError(
                self._says(f"does not answer: {_line(error)}"), hint=f"see {self._use.settings}endpoint"
            ) from None
        except (ResponseParserError, ValueError):  # the error's text quotes the whole answer
            raise self._odd() from None
        finally:
            self._free.release()

    def _odd(self) -> UnavailableError:
        return UnavailableError(
            self._says("gives what is no answer of such a store"), hint=f"see {self._use.settings}endpoint"
        )

    def _says(self, what: str) -> str:
        return f"{self._use.what} (bucket {self._place.bucket!r}) {what}"


def _line(text: object) -> str:
    """A foreign text on one line and cut, so that it fits into a line of the log."""
    return " ".join(str(text).split())[:_FAULT_CHARS]


def _client(place: BucketPlace, use: BucketUse) -> Any:  # noqa: ANN401 - boto3's clients are made at run time
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise ConfigError(
            f"{use.settings}bucket needs a client of S3, which is not installed", hint="pip install 'grosz[s3]'"
        ) from error
    config = Config(
        connect_timeout=CONNECT_S, read_timeout=READ_S, retries={"mode": "standard", "total_max_attempts": 2},
        # Other stores than AWS's answer 400 to the checksums that the client sends since 2025; TLS and the digest in
        # the name protect the content as well.
        request_checksum_calculation="when_required", response_checksum_validation="when_required",
    )  # fmt: skip
    try:
        return boto3.session.Session().client(
            "s3", endpoint_url=place.endpoint or None, region_name=place.region or None,
            aws_access_key_id=place.access_key or None, aws_secret_access_key=place.secret_key or None, config=config,
        )  # fmt: skip
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(
            f"{use.what} cannot be asked: {error}", hint=f"see {use.settings}endpoint and {use.settings}region"
        ) from None
