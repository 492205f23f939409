"""Bulk assessments for an open-source MLflow server."""
