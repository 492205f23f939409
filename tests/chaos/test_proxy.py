"""What the proxy does to the bytes that go through it."""

import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from chaos.proxy import HOST, Proxy, Reply

SOON = 5.0


class Shouter(socketserver.ThreadingTCPServer):
    """Answers each line in capitals, and remembers what it heard."""

    daemon_threads = True

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        super().__init__((HOST, 0), Answer)


class Answer(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Shouter)
        with suppress(OSError):
            for line in self.rfile:
                self.server.heard.append(line.strip())
                self.wfile.write(line.upper())


@pytest.fixture
def server() -> Iterator[Shouter]:
    with Shouter() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(server: Shouter) -> Iterator[Proxy]:
    with Proxy(server.server_address[1], kinds={"write": re.compile(b"PATCH")}) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with connect(proxy) as client:
        yield client


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection((HOST, proxy.port), timeout=SOON)


def ask(client: socket.socket, text: bytes) -> bytes:
    client.sendall(text + b"\n")
    return client.recv(1000).strip()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def wait_for(server: Shouter, text: bytes) -> None:
    until(lambda: text in server.heard)


def test_bytes_go_through(client: socket.socket) -> None:
    assert [ask(client, b"one"), ask(client, b"two")] == [b"ONE", b"TWO"]


def test_an_end_goes_through_as_well(client: socket.socket) -> None:
    client.sendall(b"last\n")
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1000) == b"LAST\n"
    assert client.recv(1000) == b""


def test_cut_resets_all_connections_and_takes_new_ones(proxy: Proxy, client: socket.socket) -> None:
    with connect(proxy) as other:
        assert ask(client, b"a") + ask(other, b"b") == b"AB"
        assert proxy.cut() == 2
        for broken in (client, other):
            with pytest.raises(ConnectionResetError):
                broken.recv(1000)
    with connect(proxy) as new:
        assert ask(new, b"again") == b"AGAIN"


def test_refused_until_healed(proxy: Proxy, client: socket.socket) -> None:
    assert ask(client, b"before") == b"BEFORE"
    proxy.refuse()
    assert ask(client, b"still") == b"STILL"
    with pytest.raises(ConnectionResetError), connect(proxy) as refused:
        ask(refused, b"new")
    proxy.heal()
    with connect(proxy) as new:
        assert ask(new, b"new") == b"NEW"


def test_a_delay_holds_each_way_until_healed(proxy: Proxy, client: socket.socket) -> None:
    ask(client, b"fast")
    proxy.delay(0.1)
    start = time.monotonic()
    assert ask(client, b"slow") == b"SLOW"
    assert time.monotonic() - start >= 0.2
    proxy.heal()
    start = time.monotonic()
    ask(client, b"fast")
    assert time.monotonic() - start < 0.1


def test_a_swallowed_reply_never_comes_and_the_connection_is_reset_at_the_end(
    server: Shouter, proxy: Proxy, client: socket.socket
) -> None:
    ask(client, b"before")
    proxy.swallow("hang")
    client.sendall(b"done?\n")
    wait_for(server, b"done?")
    client.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.recv(1000)
    proxy.heal()
    with pytest.raises(ConnectionResetError):
        client.recv(1000)


def test_closed_after_the_server_has_answered(server: Shouter, proxy: Proxy, client: socket.socket) -> None:
    ask(client, b"before")
    proxy.swallow("close")
    client.sendall(b"done?\n")
    with pytest.raises(ConnectionResetError):
        client.recv(1000)
    assert server.heard == [b"before", b"done?"]


def test_one_request_is_held_and_comes_late_though_its_client_is_gone(
    server: Shouter, proxy: Proxy, client: socket.socket
) -> None:
    held = proxy.hold(b"PATCH")
    assert ask(client, b"GET") == b"GET"
    client.sendall(b"PATCH old\n")
    assert held.caught.wait(SOON)
    with connect(proxy) as other:
        assert ask(other, b"PATCH new") == b"PATCH NEW"
    client.close()
    assert server.heard == [b"GET", b"PATCH new"]
    held.release()
    wait_for(server, b"PATCH old")


def test_several_requests_are_held_and_the_next_one_passes(proxy: Proxy) -> None:
    held = proxy.hold(b"PATCH", 2)
    clients = [connect(proxy) for _ in range(3)]
    for number, client in enumerate(clients[:2]):
        client.sendall(b"PATCH %d\n" % number)
    deadline = time.monotonic() + SOON
    while held.left:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert ask(clients[2], b"PATCH 2") == b"PATCH 2"
    held.release()
    assert [client.recv(1000).strip() for client in clients[:2]] == [b"PATCH 0", b"PATCH 1"]
    for client in clients:
        client.close()


def test_a_hold_that_caught_nothing_ends_with_the_healing(proxy: Proxy, client: socket.socket) -> None:
    held = proxy.hold(b"PATCH")
    proxy.heal()
    assert ask(client, b"PATCH") == b"PATCH"
    assert not held.caught.is_set()


def test_only_answers_of_one_kind_are_lost(server: Shouter, proxy: Proxy, client: socket.socket) -> None:
    proxy.swallow("close", ["write"])
    assert ask(client, b"GET") == b"GET"
    with pytest.raises(ConnectionResetError):
        ask(client, b"PATCH")
    assert server.heard == [b"GET", b"PATCH"]
    assert proxy.counts == {("write", "answer lost"): 1}


def test_the_proxy_answers_large_requests_itself_until_healed(
    server: Shouter, proxy: Proxy, client: socket.socket
) -> None:
    proxy.answer(Reply(re.compile(b"PATCH"), b"too large", larger_than=4))
    small, large = (b"PATCH\r\nContent-Length: %d\r\n\r\n" % size for size in (4, 5))
    client.sendall(large)
    client.sendall(b"12345")
    assert client.recv(1000) == b"too large"
    assert server.heard == []
    client.sendall(small + b"one\n")
    wait_for(server, b"one")
    proxy.heal()
    client.sendall(large + b"four\n")
    wait_for(server, b"four")
    assert proxy.counts["write", "answered by the proxy"] == 1


def test_it_is_told_what_became_of_each_request(proxy: Proxy, client: socket.socket) -> None:
    assert [ask(client, b"PATCH"), ask(client, b"GET"), ask(client, b"PATCH")] == [b"PATCH", b"GET", b"PATCH"]
    proxy.swallow("hang")
    client.sendall(b"PATCH lost\n")
    until(lambda: proxy.counts["write", "answer lost"])
    proxy.heal()
    with pytest.raises(ConnectionResetError):
        client.recv(1000)
    proxy.refuse()
    with pytest.raises(ConnectionResetError), connect(proxy) as refused:
        ask(refused, b"PATCH refused")
    assert proxy.counts == {("write", "answered"): 2, ("write", "answer lost"): 1, ("write", "refused"): 1}


def test_a_request_that_is_cut_off_was_under_way() -> None:
    with socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        with Proxy(port, kinds={"write": re.compile(b"PATCH")}) as mute, connect(mute) as client:
            client.sendall(b"PATCH\n")
            until(lambda: mute.under_way("write"))
            mute.cut()
            assert mute.under_way("write") == 0
            assert mute.counts == {("write", "cut off"): 1}


def test_a_server_that_is_away_resets_its_clients() -> None:
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        port = unused.getsockname()[1]
        with Proxy(port) as proxy, pytest.raises(ConnectionResetError), connect(proxy) as client:
            client.recv(1000)
