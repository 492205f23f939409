"""first: feedback of which nothing is known yet is written at once, and kept as logged in one step.

Claim and pin keep an older write that arrives late from replacing a newer one. A fenced sink needs neither:
it decides by itself which version is newer. So what nobody has seen before costs one row instead of three.
All that does not go smoothly, an edit, a redelivery, a missing trace, a lost answer, goes by claim and pin.
"""

from itertools import compress
from uuid import UUID

from pipeline.batch import Batch
from pipeline.log import assessment_metadata
from pipeline.patience import Patience
from pipeline.ports import Entry, FeedbackStore, FencedSink, Standing, Write
from pipeline.versions import Version


async def write_first(
    batch: Batch, store: FeedbackStore, sink: FencedSink, patience: Patience
) -> list[Standing]:
    """Write those of a batch that are the first of their feedback; gives what stands of those that are done.

    Raises:
        StoppedError: when told to stop while waiting.

    """
    traces = {key: trace_id for key, version in batch.newest.items() if (trace_id := _trace(batch, version))}
    if not traces:
        return []
    known = await patience.call(lambda: store.known(traces))
    writes = [_write(batch, key, trace_id) for key, trace_id in traces.items() if key not in known]
    if not writes:
        return []
    there = await sink.create(writes)
    entries = [Entry(write.version, write.trace_id) for write in compress(writes, there)]
    if not entries:
        return []
    kept = set(await patience.call(lambda: store.enter(entries)))
    return [_standing(entry) for entry in entries if entry.version.feedback_id in kept]


def _trace(batch: Batch, version: Version) -> str | None:
    if version.op != "log":
        return None
    chat = batch.chats.get(version.feedback_id)
    return version.trace_id or (chat.trace_id if chat else None)


def _write(batch: Batch, key: UUID, trace_id: str) -> Write:
    version = batch.newest[key]
    metadata = assessment_metadata(version, batch.segment(key))
    return Write(version=version, trace_id=trace_id, metadata=metadata, may_exist=False)


def _standing(entry: Entry) -> Standing:
    return Standing(
        version=entry.version,
        state="logged",
        trace_id=entry.trace_id,
        written_event=entry.version.event_id,
        dead=None,
    )
