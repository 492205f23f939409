"""A broker that can be frozen."""

import signal
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from support.stack import Stack

from local import stack as local_stack

Send = Callable[[int], object]


@pytest.fixture
def signal_kafka(stack: Stack) -> Iterator[Send]:
    """Send a signal to the broker; a frozen one is thawed at the end."""
    if stack.home is None:
        pytest.skip("only a broker of our own can be frozen")
    send = partial(local_stack.kill_part, stack.home, "kafka")
    yield send
    send(signal.SIGCONT)
