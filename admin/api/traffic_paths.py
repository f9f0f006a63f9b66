"""The part of the API's description that is about auctions: as they happen, and as they were recorded."""

from collections.abc import Callable, Sequence
from typing import Final

from admin.api.product_paths import Json
from admin.api.recorded import RecordedExplainQuery
from admin.api.report_examples import FORECAST_EVENTS, TAIL_EVENTS, also_events
from admin.api.tailing import TailQuery
from admin.diagnosis.forecasting import Forecast, ForecastRequest
from admin.diagnosis.recorded import RecordedExplanation, RecordedPage, RecordedQuery, Replayed, ReplayRequest
from admin.diagnosis.tailing import TailPage

TRAFFIC_TYPES: Final[Sequence[type]] = (
    TailPage, RecordedPage, RecordedExplanation, ReplayRequest, Replayed, ForecastRequest, Forecast,
)  # fmt: skip

_NAME: Final[Json] = {
    "name": "name", "in": "path", "required": True, "description": "`id` of a recorded request.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,15}-[0-9a-f]{16}$"},
}  # fmt: skip


def traffic_paths(said: Callable[..., Json], parameters: Callable[..., list[Json]]) -> Json:
    """The paths of traffic in the OpenAPI document, made with the builder of admin.api.desk_paths."""
    return {
        "/v1/auctions/tail": {
            "get": also_events(
                said(
                    "tailAuctions",
                    "Auctions as they happen; as `text/event-stream` a stream that goes on by itself",
                    TailPage,
                    parameters(TailQuery),
                ),
                TAIL_EVENTS,
            )
        },
        "/v1/recorded-requests": {
            "get": said(
                "recordedRequests", "Recorded bid requests, the newest first", RecordedPage, parameters(RecordedQuery)
            )
        },
        "/v1/recorded-requests/{name}": {
            "get": said(
                "explainRecorded",
                "Why each line item bid or did not bid on a recorded request, and what became of its bids",
                RecordedExplanation,
                [_NAME, *parameters(RecordedExplainQuery)],
            )
        },
        "/v1/forecast": {
            "post": also_events(
                said(
                    "forecast",
                    "What a new or changed line item would do on recorded traffic; as `text/event-stream` a first "
                    "answer, progress, and the answer",
                    Forecast,
                    (),
                    ForecastRequest,
                ),
                FORECAST_EVENTS,
            )
        },
        "/v1/replay": {
            "post": said("replay", "Decide recorded requests again, and say what differs", Replayed, (), ReplayRequest)
        },
    }
