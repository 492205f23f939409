"""The ports' real adapters: Postgres and MLflow."""
