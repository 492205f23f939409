"""The feedback routes: one router for a team's own FastAPI app, or alone by `feedback run ingest`.

from fastapi import FastAPI
from apps.feedback_api import feedback_router

app = FastAPI()
app.include_router(feedback_router())

The router brings its lifespan along: it connects to Kafka when the app starts, and lets go when it ends.
"""

from apps.feedback_api.router import feedback_router
from apps.feedback_api.service import FeedbackApi
from apps.feedback_api.settings import ApiSettings, load_api_settings
from apps.feedback_api.tokens import Grant, TokenKeys

__all__ = ["ApiSettings", "FeedbackApi", "Grant", "TokenKeys", "feedback_router", "load_api_settings"]
