"""What stands on another trace, where no plugin says so: the traces of its request are searched."""

import asyncio
from collections.abc import Sequence

from pipeline.adapters.mlflow_traces import MlflowTraces
from pipeline.outcomes import Away, Dead, DependencyAwayError, Elsewhere, SinkOutcome, Withdrawn
from pipeline.ports import Sink, Write


class SeekingSink:
    """`Sink` over another one that writes one by one, beside consumers that write first versions in bulk.

    Who wrote a first version in bulk and died before it was kept has left an assessment of which the store
    knows nothing. On another trace MLflow refuses it without saying why, and deletes nothing.

    Args:
        sink: what writes.
        traces: what finds the traces of a request, with their assessments.

    """

    def __init__(self, sink: Sink, traces: MlflowTraces) -> None:
        self._sink = sink
        self._traces = traces

    async def log(self, writes: Sequence[Write], *, until: float) -> Sequence[SinkOutcome]:
        """Write a batch; an outcome for each, in order."""
        outcomes = await self._sink.log(writes, until=until)
        return await asyncio.gather(*map(self._unless_elsewhere, writes, outcomes))

    async def _unless_elsewhere(self, write: Write, outcome: SinkOutcome) -> SinkOutcome:
        request_id = write.version.client_request_id
        if request_id is None or write.may_exist or not isinstance(outcome, Dead | Withdrawn):
            return outcome
        try:
            trace_id = await self._traces.holding(write.version.assessment_id, request_id)
        except DependencyAwayError as error:
            return Away(error.dependency, error.detail)
        return outcome if trace_id in (None, write.trace_id) else Elsewhere(trace_id)
