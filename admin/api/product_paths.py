"""The part of the API's description that is about products, their feeds, and media."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from admin.products import documents
from admin.products.mailing import MailAdvices, MailRequest
from creatives.feeds.runs import Run
from creatives.media.desk import Uploaded

Json = dict[str, Any]

PRODUCT_TYPES: Final[Sequence[type]] = (
    documents.FeedReport, documents.RefreshRequest, documents.RefreshAnswer, Run, documents.ProductPage,
    documents.ProductChanges, documents.ProductChangesAnswer, documents.MatchReport, documents.RecommendRequest,
    documents.Recommended, MailRequest, MailAdvices, Uploaded,
)  # fmt: skip


def product_paths(
    operation: Callable[..., Json], parameters: Callable[..., list[Json]], query: Callable[..., Json], object_id: Json
) -> Json:
    """The paths of products in the OpenAPI document, made with the builders of admin.api.openapi."""
    upload = operation(
        None, "uploadFeed", "Load a feed from the request's body", Run,
        [object_id, query("force", {"type": "boolean", "default": False}, "Take it although it shrank.")],
    )  # fmt: skip
    binary = {"schema": {"type": "string", "format": "binary"}}
    upload["requestBody"] = {"required": True, "content": {"application/octet-stream": binary}}
    products = "/v1/advertisers/{id}/products"
    media = operation(None, "uploadMedia", "Keep a file for ads, sent as the request's body", Uploaded, [object_id])
    media["responses"]["201"] = media["responses"].pop("200")
    media["requestBody"] = upload["requestBody"]
    return {
        "/v1/advertisers/{id}/media": {"post": media},
        "/v1/feeds/{id}/report": {
            "get": operation(None, "feedReport", "How a feed fares: faults, counts", documents.FeedReport, [object_id])
        },
        "/v1/feeds/{id}/refresh": {
            "post": operation(
                None, "refreshFeed", "Load a feed at once", documents.RefreshAnswer, [object_id],
                documents.RefreshRequest, 202,
            )
        },
        "/v1/feeds/{id}/content": {"put": upload},
        products: {
            "get": operation(
                None, "searchProducts", "Products as they are now", documents.ProductPage,
                [object_id, *parameters(documents.ProductQuery)],
            ),
            "patch": operation(
                None, "changeProducts", "Change availability and prices between two runs of a feed",
                documents.ProductChangesAnswer, [object_id], documents.ProductChanges,
            ),
        },
        f"{products}/match": {
            "get": operation(
                None, "matchProducts", "Whether the ids of events are those of the feeds", documents.MatchReport,
                [object_id],
            )
        },
        "/v1/advertisers/{id}/recommendations": {
            "post": operation(
                None, "recommendProducts", "Which products an ad would show, and why", documents.Recommended,
                [object_id], documents.RecommendRequest,
            )
        },
        "/v1/recommendations": {
            "post": operation(
                None, "adviseMails", "What to send to whom, and when: products, reason, delay, usual hour", MailAdvices,
                [], MailRequest,
            )
        },
    }  # fmt: skip
