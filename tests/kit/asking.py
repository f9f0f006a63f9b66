"""Plain HTTP questions, each on a connection of its own, for tests of ports that may be closed."""

import http.client

from tests.kit.openrtb import body_of, raw_request


def status_of(port: int, method: str, path: str, body: bytes = b"") -> int:
    """Status of the answer; 0 where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def bid_status(port: int) -> int:
    """Status of a small bid request of the demo exchange; 0 where there is no answer."""
    return status_of(port, "POST", "/openrtb2/demo", body_of(raw_request(site={"domain": "news.example"})))
