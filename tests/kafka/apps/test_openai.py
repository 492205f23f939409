"""A model behind an OpenAI-compatible endpoint: what it streams, and what MLflow sees of it."""

import mlflow
from support.openai_endpoint import WORDS, serving

from apps.chat.library import own_library
from apps.chat.openai_model import OpenAiModel
from consumers.settings import Settings


async def test_it_streams_what_the_endpoint_says_and_mlflow_sees_the_call(settings: Settings) -> None:
    mlflow.set_experiment(experiment_id=settings.mlflow_experiments[0])
    async with serving() as endpoint:
        model = OpenAiModel(own_library(), url=endpoint.url, key="none", model="m")
        try:
            with mlflow.start_span("chat") as span:
                said = [token async for token in model.answer("What is a dead letter?")]
        finally:
            mlflow.openai.autolog(disable=True)
            await model.close()
    assert said == list(WORDS)
    assert "operations.md" in endpoint.systems[0], "what was found goes along"
    mlflow.flush_trace_async_logging()
    trace = mlflow.get_trace(span.trace_id)
    assert trace is not None
    kinds = {one.span_type for one in trace.data.spans}
    assert {"RETRIEVER", "CHAT_MODEL"} <= kinds
