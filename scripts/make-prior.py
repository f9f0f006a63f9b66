"""Write the shipped prior, bidder/decision/prior: what is believed about clicks and conversions before any log has
been seen.

Not trained: logits set by hand from published rates (display CTR of 0.1-0.3 %, 1-3 % of clicks convert; retargeting
several times that: spec science 1e). Training replaces it; this script documents where its numbers come from.
"""

import hashlib
import json
import pathlib

import numpy as np

DIRECTORY = pathlib.Path(__file__).parent.parent / "bidder" / "decision" / "prior"

# P(click) 0.15 %, P(conversion | click) 1.5 %
HOURS = range(24)  # UTC: a Polish evening is 17 to 21

BIAS = (-6.5, -4.18)

# field -> value -> (click logit, conversion logit)
REQUEST_FIELDS = {
    "hour": {str(h): (0.08 if 17 <= h <= 21 else -0.1 if h < 5 else 0.0, 0.1 if 18 <= h <= 21 else 0.0) for h in HOURS},
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
# user field -> (edges, logits of the buckets below, between and above them)
USER_FIELDS = {
    "last_visit_hours": (
        [1, 3, 12, 24, 72, 168],
        [(1.2, 0.6), (1.1, 0.7), (1.0, 0.8), (0.9, 0.8), (0.7, 0.6), (0.4, 0.4), (0.1, 0.1)],
    ),
    "visits": ([2, 4, 8], [(0.0, 0.0), (0.15, 0.2), (0.3, 0.4), (0.35, 0.6)]),
    "products_viewed": ([1, 3, 10], [(0.0, -0.4), (0.1, 0.0), (0.2, 0.2), (0.25, 0.4)]),
    "cart": ([0.5], [(0.0, 0.0), (0.5, 1.4)]),
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
        "format": 1, "name": "prior-1", "rows": len(weights), "columns": ["default"], **fields, "bias": BIAS,
        "notes": "set by hand from published rates; see scripts/make-prior.py",
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
