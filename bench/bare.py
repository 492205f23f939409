"""The barest endpoint that publishes to Kafka: ``python -m bench.bare``, the ceiling of the feedback routes.

A body becomes a record as it is, and the answer is sent once Kafka has acknowledged; nothing is checked.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI, Request, Response

from consumers.settings import load_settings

PATH = "/feedback"


def create_app() -> FastAPI:
    """Make the app; Kafka is where the variables ``FEEDBACK_KAFKA_*`` say."""
    settings = load_settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        options = settings.kafka.options()
        async with AIOKafkaProducer(**options, acks="all", enable_idempotence=True, linger_ms=5) as producer:
            app.state.producer = producer
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post(PATH)
    async def feedback(request: Request) -> Response:
        """Publish."""
        body = await request.body()
        await request.app.state.producer.send_and_wait(settings.topics.feedback_submitted, body, key=b"key")
        return Response(status_code=202)

    @app.get("/readyz")
    async def readyz() -> Response:
        """Tell that it serves."""
        return Response()

    return app


if __name__ == "__main__":
    port = int(os.environ["FEEDBACK_HTTP_PORT"])
    uvicorn.run(create_app(), host="127.0.0.1", port=port, access_log=False, log_level="warning")
