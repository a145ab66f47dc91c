"""Real Redis servers for the tests: processes of their own on loopback, with their files in a folder of the test.

    with RedisServer(tmp_path) as server:
        open_store(server.url)

Each can be killed, stopped (so that it hangs) and started again at its port. `cluster` makes several into one.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import redis

STARTUP = 20.0  # seconds
PAUSE = 0.01
NO_FILES = ("--save", "", "--appendonly", "no")
APPEND_ONLY = ("--save", "", "--appendonly", "yes")
SYNCED_AT_ONCE = (*NO_FILES, "--repl-diskless-sync-delay", "0")  # replicas need not wait for others


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(true: Callable[[], bool], seconds: float = STARTUP) -> None:
    """Wait for what can't be awaited: a state of another process."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(PAUSE)


class RedisServer:
    def __init__(self, folder: Path, *options: str, host: str = "127.0.0.1") -> None:
        program = shutil.which("redis-server")
        assert program, "these tests need a Redis server: see `make services`"
        folder.mkdir(parents=True, exist_ok=True)
        self.host = host
        self.port = free_port()
        self.socket = folder / "redis.sock"
        self._command = [program, "--port", str(self.port), "--bind", host, "--dir", str(folder)]
        self._command += ["--unixsocket", str(self.socket), "--logfile", "redis.log", *(options or NO_FILES)]
        self._log = folder / "redis.log"
        self.start()

    def __enter__(self) -> RedisServer:
        return self

    def __exit__(self, *failure: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"

    def start(self, *, loads: bool = True) -> None:
        """Start it, and wait until it answers, and has loaded its data."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        until(lambda: self._answer() not in (b"", b"-LOADING") if loads else self._answer() != b"")

    def _answer(self) -> bytes:
        """The first word of what it answers, if it does."""
        assert self._process.poll() is None, self._log.read_text() if self._log.exists() else "it did not start"
        with suppress(OSError), socket.create_connection((self.host, self.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(1024).split()[0]
        return b""

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    @contextmanager
    def killed(self) -> Iterator[None]:
        self.kill()
        try:
            yield
        finally:
            self.start()

    def empty(self) -> None:
        self.say("FLUSHALL")

    def restart(self, *, loads: bool = True) -> None:
        self.kill()
        self.start(loads=loads)

    def hang(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        self.hang()
        try:
            yield
        finally:
            self.go_on()

    def say(self, *command: Any, password: str | None = None) -> Any:
        with closing(redis.Redis(self.host, self.port, password=password, socket_timeout=STARTUP)) as client:
            return client.execute_command(*command)


class RedisCluster:
    """Three masters that share all slots, and one replica of the first."""

    def __init__(self, folder: Path) -> None:
        self.servers: list[RedisServer] = []
        try:
            self._build(folder)
        except BaseException:
            self.__exit__()
            raise

    def _build(self, folder: Path) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", *SYNCED_AT_ONCE)
        ports = [free_port() for _ in range(4)]  # on which the nodes talk to each other
        for number, port in enumerate(ports):
            self.servers.append(RedisServer(folder / str(number), *options, "--cluster-port", str(port)))
        masters, replica = self.servers[:3], self.servers[3]
        for number, master in enumerate(masters):
            slots = range(number * 16384 // 3, (number + 1) * 16384 // 3)
            master.say("CLUSTER", "ADDSLOTSRANGE", slots[0], slots[-1])
            master.say("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for server in self.servers[1:]:
            server.say("CLUSTER", "MEET", self.servers[0].host, self.servers[0].port, ports[0])
        until(lambda: all(self._knows(server, 4) for server in self.servers))
        replica.say("CLUSTER", "REPLICATE", masters[0].say("CLUSTER", "MYID"))
        until(self.is_whole)

    @staticmethod
    def _knows(server: RedisServer, others: int) -> bool:
        return int(server.say("CLUSTER INFO")["cluster_known_nodes"]) >= others

    def is_whole(self) -> bool:
        """Whether all nodes are there, and a replica follows one of the masters."""
        states = {server.say("CLUSTER INFO")["cluster_state"] for server in self.servers}
        return states == {"ok"} and len(self.masters) == 3 and self.replicated.say("WAIT", 1, 100) == 1

    @property
    def masters(self) -> list[RedisServer]:
        return [server for server in self.servers if server.say("ROLE")[0] == b"master"]

    @property
    def replicated(self) -> RedisServer:
        """The master that has a replica."""
        [(_, master)] = [server.say("ROLE")[1:3] for server in self.servers if server.say("ROLE")[0] != b"master"]
        return next(server for server in self.servers if server.port == master)

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"{server.host}:{server.port}" for server in self.servers[:3])

    def empty(self) -> None:
        for master in self.masters:
            master.say("FLUSHALL")

    def __enter__(self) -> RedisCluster:
        return self

    def __exit__(self, *failure: object) -> None:
        for server in self.servers:
            server.kill()
