"""The feedback routes beside the barest endpoint that publishes to Kafka, in turns."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from bench import bare
from bench.figures import percentile
from bench.raw_http import Post, Posted, post_all
from bench.rig import COMMENT, Rig, World
from bench.size import Run, Samples, Size

AT_ONCE: Final = 32
"""Connections, each of which waits for its answer."""

_KEY: Final = "bench-key-of-a-service-that-is-trusted"
_ENVIRONMENT: Final = {
    "FEEDBACK_API_SERVICE_KEYS": f"bench:{_KEY}",
    # Counted, but never too many.
    "FEEDBACK_API_RATE_USER": "100000000/minute",
    "FEEDBACK_API_RATE_ADDRESS": "100000000/minute",
}
_INGEST: Final = ("ops.cli", "run", "ingest")
_BARE: Final = ("bench.bare",)
_WARM: Final = 200


@contextmanager
def api(rig: Rig, size: Size) -> Iterator[Run]:
    """Measure one process of each, one after the other: requests a second, and how long the slowest take."""

    def run(_known: Samples) -> dict[str, float]:
        rig.clean()
        world = rig.world()
        posts = [_feedback(number) for number in range(size.api)]
        ours = _posted(world, _INGEST, posts)
        raw = _posted(world, _BARE, [Post(bare.PATH, post.body) for post in posts])
        return {
            "api_per_s": size.api / ours.seconds,
            "bare_api_per_s": size.api / raw.seconds,
            "api_p99_ms": percentile(ours.each, 99) * 1000,
            "bare_api_p99_ms": percentile(raw.each, 99) * 1000,
        }

    yield run


def _posted(world: World, module: Sequence[str], posts: Sequence[Post]) -> Posted:
    with world.processes(1, module, **_ENVIRONMENT) as (process,):
        url = f"http://127.0.0.1:{process.port}"
        post_all(url, posts[:_WARM], AT_ONCE)
        return post_all(url, posts, AT_ONCE)


def _feedback(number: int) -> Post:
    said = {
        "client_request_id": f"req-{number}",
        "trace_id": f"tr-{number:032x}",
        "source": {"type": "HUMAN", "id": f"user-{number % 1000}"},
        "metadata": {"page": f"/invoices/{number}"},
        "assessments": [{"name": "helpful", "value": number % 3 > 0, "rationale": COMMENT}],
    }
    return Post("/v1/feedback", json.dumps(said).encode(), f"Authorization: Bearer {_KEY}\r\n")
