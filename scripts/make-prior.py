"""Writes the shipped prior, bidder/decision/prior: what is believed about clicks and conversions before any log has
been seen.

Not trained: logits set by hand from published rates (display CTR of 0.1-0.3 %, 1-3 % of clicks convert; retargeting
several times that: docs/evidence.md, "Carts"). Training replaces it; this script documents where its numbers come from.
"""

import hashlib
import json
import math
import pathlib

import numpy as np

DIRECTORY = pathlib.Path(__file__).parent.parent / "bidder" / "decision" / "prior"

# P(click) 0.15 %, P(conversion | click) 1.5 %
HOURS = range(24)  # of the user's clock

BIAS = (-6.5, -4.18)

# field -> value -> (click logit, conversion logit)
REQUEST_FIELDS = {
    "hour": {
        str(h): (0.08 if 18 <= h <= 22 else -0.1 if 1 <= h < 7 else 0.0, 0.1 if 19 <= h <= 22 else 0.0) for h in HOURS
    },
    "device": {
        "1": (0.2, -0.3), "2": (0.0, 0.2), "3": (-1.0, -0.5), "4": (0.2, -0.3),
        "5": (0.15, -0.1), "7": (-1.0, -0.5),
    },
    "size": {
        "300x250": (0.1, 0.0), "728x90": (-0.2, 0.0), "160x600": (-0.15, 0.0), "320x50": (0.05, -0.1),
        "300x600": (0.35, 0.0), "970x250": (0.4, 0.0), "320x100": (0.15, -0.05), "336x280": (0.15, 0.0),
        "320x480": (0.6, -0.3),
        "468x60": (-0.4, 0.0),
    },
    "position": {"1": (0.25, 0.0), "3": (-0.4, 0.0), "7": (0.5, -0.2)},
    "deal": {"yes": (0.2, 0.1)},
}  # fmt: skip
# What is believed of a visitor by the hours since the last visit, between which the logits are straight lines over the
# logarithm of the time. What a cart is worth is not here: it is a term of the formula (docs/pricing.md), and a logit
# for having one would pay for a cart of 1 PLN what it pays for one of 500.
RECENCY = (
    (1.0, (1.2, 0.6)), (3.0, (1.1, 0.7)), (12.0, (1.0, 0.8)), (24.0, (0.9, 0.8)), (72.0, (0.7, 0.6)),
    (168.0, (0.4, 0.4)), (720.0, (0.1, 0.1)),
)  # fmt: skip
STEP = 1.06  # between two edges; the largest jump of a bid over time is 3% then


def recency() -> tuple[list[float], list[tuple[float, float]]]:
    """Edges in hours, and the logits of the buckets below, between and above them."""
    hours, logits = zip(*RECENCY, strict=True)
    count = math.ceil(math.log(hours[-1] / hours[0]) / math.log(STEP))
    edges = np.geomspace(hours[0], hours[-1], count + 1)
    middles = np.sqrt(edges[:-1] * edges[1:])
    heads = [np.interp(np.log(middles), np.log(hours), column) for column in zip(*logits, strict=True)]
    buckets = [logits[0], *((round(click, 4), round(sale, 4)) for click, sale in np.transpose(heads)), logits[-1]]
    return [round(edge, 4) for edge in edges.tolist()], buckets


# user field -> (edges, logits of the buckets below, between and above them)
USER_FIELDS = {
    "last_visit_hours": recency(),
    "visits": ([2, 4, 8], [(0.0, 0.0), (0.15, 0.2), (0.3, 0.4), (0.35, 0.6)]),
    "products_viewed": ([1, 3, 10], [(0.0, -0.4), (0.1, 0.0), (0.2, 0.2), (0.25, 0.4)]),
}


def build() -> None:
    """Write manifest, weights and sums; the same bytes every time."""
    weights: list[tuple[float, float]] = []
    fields: dict[str, dict[str, object]] = {"request_fields": {}, "user_fields": {}}
    for name, values in REQUEST_FIELDS.items():
        fields["request_fields"][name] = {
            "other": len(weights),
            "rows": {v: len(weights) + 1 + i for i, v in enumerate(values)},
        }
        weights += [(0.0, 0.0), *values.values()]
    for name, (edges, logits) in USER_FIELDS.items():
        fields["user_fields"][name] = {"other": len(weights), "edges": edges}
        weights += [(0.0, 0.0), *logits]
    manifest = {
        "format": 2, "name": "prior-2", "version": 2, "rows": len(weights), "columns": ["default"], **fields,
        "bias": BIAS, "notes": "set by hand from published rates; see scripts/make-prior.py",
    }  # fmt: skip
    DIRECTORY.mkdir(exist_ok=True)
    (DIRECTORY / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    np.save(DIRECTORY / "weights.npy", np.array(weights, dtype=np.float32)[:, :, None], allow_pickle=False)
    sums = [
        f"{hashlib.sha256((DIRECTORY / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("manifest.json", "weights.npy")
    ]
    (DIRECTORY / "SHA256SUMS").write_text("".join(sums))


if __name__ == "__main__":
    build()
