"""The sample chat service: real traces, real events, and traffic to show what the pipeline is for."""
