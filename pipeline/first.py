"""first: feedback of which nothing is known yet is written at once, and kept as logged in one step.

Claim and pin keep an older write that arrives late from replacing a newer one. A fenced sink needs neither:
it decides by itself which version is newer. So what nobody has seen before costs one row instead of three.
All that does not go smoothly, an edit, a redelivery, a missing trace, a lost answer, goes by claim and pin.
"""

from itertools import compress
from uuid import UUID

from pipeline.batch import Batch, Ended
from pipeline.log import assessment_metadata
from pipeline.outcomes import Logged
from pipeline.patience import Patience
from pipeline.ports import Entry, FeedbackStore, FencedSink, Write
from pipeline.versions import Version


async def write_first(
    batch: Batch, store: FeedbackStore, sink: FencedSink, patience: Patience
) -> dict[UUID, Ended]:
    """Write those of a batch that are the first of their feedback; gives how they ended, by feedback_id.

    Raises:
        StoppedError: when told to stop while waiting.

    """
    traces = {key: trace_id for key, version in batch.newest.items() if (trace_id := _trace(batch, version))}
    known = await patience.call(lambda: store.known(traces)) if traces else ()
    writes = [_write(batch, key, trace_id) for key, trace_id in traces.items() if key not in known]
    there = await sink.create(writes) if writes else ()
    entries = [Entry(write.version, write.trace_id) for write in compress(writes, there)]
    others = await patience.call(lambda: store.enter(entries)) if entries else ()
    return {
        version.feedback_id: Ended(Logged(trace_id, version.assessment_id), is_written=True)
        for version, trace_id in entries
        if version.feedback_id not in others
    }


def _trace(batch: Batch, version: Version) -> str | None:
    if version.op != "log":
        return None
    chat = batch.chats.get(version.feedback_id)
    return version.trace_id or (chat.trace_id if chat else None)


def _write(batch: Batch, key: UUID, trace_id: str) -> Write:
    version = batch.newest[key]
    metadata = assessment_metadata(version, batch.segment(key))
    return Write(version=version, trace_id=trace_id, metadata=metadata, may_exist=False)
