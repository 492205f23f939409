"""What several tests share: the stack, consumer processes, and what is read back from the outside."""
