"""The part of the API's description that is about audiences, visitors, the books, and the catalogue as a file."""

from collections.abc import Callable, Sequence
from typing import Final

from admin.api.product_paths import Json
from admin.api.report_examples import also_files
from admin.api.rosters import roster_paths
from admin.api.saved_reports import saved_report_paths
from admin.api.traffic_paths import TRAFFIC_TYPES, traffic_paths
from admin.books import documents as books
from admin.catalogue.file import FORMAT, Imported
from admin.reports import documents as reports
from admin.reports.deliveries import DELIVERY_TYPES
from admin.reports.saved import SAVED_TYPES
from admin.visitors import documents as visitors
from admin.visitors.rosters import ROSTER_TYPES
from core.ids import USER_ID_CHARS
from creatives.scanning.loaded import ScanReport
from segments.audiences.matrix import Matrix

DESK_TYPES: Final[Sequence[type]] = (
    *visitors.VISITOR_TYPES,
    *books.BOOK_TYPES,
    *reports.REPORT_TYPES,
    *SAVED_TYPES,
    *DELIVERY_TYPES,
    Imported,
    *TRAFFIC_TYPES,
    ScanReport,
    *ROSTER_TYPES,
)


def desk_paths(operation: Callable[..., Json], parameters: Callable[..., list[Json]], object_id: Json) -> Json:
    """The paths of the desks' routes in the OpenAPI document, made with the builders of admin.api.openapi."""

    def said(name: str, summary: str, answer: type, given: Sequence[Json] = (), body: type | None = None) -> Json:
        return operation(None, name, summary, answer, list(given), body)

    advertiser = "/v1/advertisers/{id}"
    user_id = {
        "name": "user_id", "in": "path", "required": True, "description": "Value of the browser's grosz_uid cookie.",
        "schema": {"type": "string", "pattern": f"^[A-Za-z0-9_-]{{{USER_ID_CHARS}}}$"},
    }  # fmt: skip
    one = [object_id]
    overlap, matches = parameters(visitors.OverlapQuery), parameters(visitors.MatchQuery)
    correction, count, matrix = books.CorrectionRequest, visitors.CountRequest, visitors.MatrixRequest
    show = said("showVisitor", "Everything stored of a user id; noted in the audit stream", visitors.VisitorReport,
                [user_id])  # fmt: skip
    forget = said("forgetVisitor", "Erase a user id and the devices linked to it", visitors.VisitorErased, [user_id])
    return {
        f"{advertiser}/segment-sizes": {
            "get": said("segmentSizes", "Visitors in each active segment now", visitors.SizesPage, one)
        },
        f"{advertiser}/segment-overlap": {
            "get": said("segmentOverlap", "Visitors in both of two segments", visitors.Overlap, [object_id, *overlap])
        },
        f"{advertiser}/tags": {"get": said("tagHealth", "When each event last came", visitors.TagReport, one)},
        f"{advertiser}/count": {
            "post": said("countRules", "Visitors for whom rules hold now", visitors.RuleCounts, one, count)
        },
        f"{advertiser}/matrix": {
            "post": said("matrix", "Two facts crossed into a grid", Matrix, one, matrix)
        },
        f"{advertiser}/events": {
            "post": said(
                "importEvents", "Take events of a trusted sender", visitors.EventResults, one, visitors.EventBatch
            )
        },
        "/v1/cookie-sync": {"get": said("cookieSync", "Match rates by day and browser", visitors.MatchPage, matches)},
        "/v1/given-up-calls": {
            "get": said("givenUpCalls", "Calls of audience hooks that were given up", visitors.GivenUpPage)
        },
        "/v1/given-up-calls/send-again": {
            "post": said("sendAgain", "Make the calls that were given up again", visitors.SentAgain)
        },
        **roster_paths(operation, parameters, object_id),
        **_report_paths(said), **saved_report_paths(said, object_id), **traffic_paths(said, parameters),
        "/v1/segment-pass": {"get": said("segmentPass", "How far changed rules have come", visitors.PassProgress)},
        "/v1/visitors/{user_id}": {"get": show, "delete": forget},
        "/v1/audit": {
            "get": said("audit", "Counters against the ledger", books.BookAudit, parameters(books.AuditQuery))
        },
        "/v1/ledger/corrections": {
            "post": said("correct", "Book a row of the ledger by hand", books.CorrectionAnswer, (), correction)
        },
        "/v1/creatives/{id}/scan": {"post": said("scanCreative", "What a reviewer would find", ScanReport, one)},
        "/v1/catalogue/export": {
            "get": _file(said("exportCatalogue", "The catalogue as a file, secrets masked", Imported))
        },
        "/v1/catalogue/import": {
            "post": _with_file(said("importCatalogue", "Create and change objects, all or none", Imported))
        },
    }  # fmt: skip


_FILE: Final[Json] = {
    "type": "object",
    "required": ["format"],
    "properties": {"format": {"const": FORMAT}},
    "description": "As `grosz catalogue export` writes it.",
}


def _file(operation: Json) -> Json:
    operation["responses"]["200"]["content"] = {"application/json": {"schema": _FILE}}
    return operation


def _with_file(operation: Json) -> Json:
    operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _FILE}}}
    return operation


def _report_paths(said: Callable[..., Json]) -> Json:
    summary = "Figures by dimensions; with `format` csv, parquet or xlsx a file is the answer"
    return {
        "/v1/reports/query": {
            "post": also_files(said("queryReport", summary, reports.ReportAnswer, (), reports.ReportRequest)),
        },
        "/v1/reports/terms": {"get": said("reportTerms", "What reports can be asked for", reports.ReportTerms)},
    }
