"""The consumers: FastStream apps that read, call the pipeline, and commit."""
