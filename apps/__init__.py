"""Applications that produce the events: a start for anyone's own."""
