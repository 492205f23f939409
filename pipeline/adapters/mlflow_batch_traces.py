"""Traces over the bulk endpoint of our plugin of an MLflow server: thousands of requests in a call."""

from collections.abc import Collection, Mapping
from datetime import datetime

from pipeline.adapters.mlflow_batch import MlflowBatchSink
from pipeline.adapters.mlflow_batch_wire import Plugin, resolve
from pipeline.adapters.mlflow_client import MlflowThreads
from pipeline.adapters.mlflow_rights import advise
from pipeline.adapters.mlflow_traces import MlflowTraces
from pipeline.chat import Chat
from pipeline.outcomes import Away, DependencyAwayError


class MlflowBatchTraces:
    """`Traces` over the plugin's own search, thousands of requests in a call, where the server has it.

    Args:
        traces: what searches a server without the plugin, and knows the experiments.
        sink: what knows whether there is a plugin.
        threads: where the synchronous client runs.

    """

    def __init__(self, traces: MlflowTraces, sink: MlflowBatchSink, threads: MlflowThreads) -> None:
        self._traces = traces
        self._sink = sink
        self._threads = threads

    async def search(self, request_ids: Collection[str], *, since: datetime | None) -> Mapping[str, Chat]:
        """Find the traces of requests.

        Raises:
            DependencyAwayError: when MLflow gives no answer, or an experiment does not exist.

        """
        plugin = await self._sink.plugin()
        if not isinstance(plugin, Plugin):
            return await self._traces.search(request_ids, since=since)
        locations = await self._traces.locations()
        ids = sorted(request_ids)
        found: dict[str, Chat] = {}
        for start in range(0, len(ids), plugin.max_items):
            some = ids[start : start + plugin.max_items]
            told = await self._threads.run(resolve, some, locations, since)
            if isinstance(told, Away):
                raise DependencyAwayError(told.dependency, f"search: {advise(told.detail)}")
            if told == "not there":
                self._sink.found(None)
            found |= await self._traces.search(some, since=since) if isinstance(told, str) else told
        return found
