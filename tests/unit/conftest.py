"""Hypothesis without a time limit for one example: on a busy machine it would fail by chance."""

from hypothesis import settings

settings.register_profile("busy", deadline=None)
settings.load_profile("busy")
