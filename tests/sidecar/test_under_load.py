"""Troubles while many ask: who is hurt by them, and that nobody else is."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.redis_servers import free_port, until
from tests.sidecar.counted import Counted
from tests.sidecar.load import End, Kind, Load, under_load
from tests.sidecar.running import Running, sidecar

WORKERS = 2


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Counted]:
    with Counted(tmp_path) as counted:
        yield counted


@pytest.fixture
def running(tmp_path: Path, application: Counted) -> Iterator[Running]:
    table = {"listen": f"127.0.0.1:{free_port()}", "workers": WORKERS}
    with sidecar(tmp_path, application.url, sidecar=table) as started:
        yield started
        assert "internal error" not in started.output()
        assert "Traceback" not in started.output()


def assert_guarded(load: Load, *applications: Counted) -> None:
    """Whatever happened: what reached an application was let through by its own token, and ran once."""
    handled = [request for application in applications for request in application.handled]
    asked = {outcome.asked.id: outcome.asked for outcome in load.outcomes}
    guarded = [request for request in handled if request.path == "/contact"]
    assert guarded
    assert {request.reason for request in guarded} == {"verified"}
    tokens = Counter(asked[request.id].token for request in guarded)
    assert None not in tokens
    assert set(tokens.values()) == {1}, "a token was used twice"
    posts = Counter(request.id for request in handled if request.method == "POST")
    assert set(posts.values()) == {1}, "a POST was sent twice"
    tokenless = {outcome.end for outcome in load.outcomes if outcome.asked.kind is Kind.TOKENLESS}
    assert tokenless <= {End.REFUSED, End.CUT, End.DROPPED, End.UNTAKEN}
    assert load.all(End.WRONG) == []
    untaken = {outcome.asked.id for outcome in load.all(End.UNTAKEN)}
    assert untaken.isdisjoint(request.id for request in handled)
    assert len(load.all(End.RIGHT)) > 300


def test_without_troubles_every_answer_is_right(running: Running, application: Counted) -> None:
    with under_load(running.port) as load:
        load.go_on(1500)
    assert_guarded(load, application)
    assert {outcome.end for outcome in load.outcomes} == {End.RIGHT, End.REFUSED}
    used = {outcome.asked.token for outcome in load.outcomes if outcome.asked.kind is Kind.TOKEN}
    admitted = [o for o in load.outcomes if o.asked.kind is Kind.TOKEN and o.end is End.RIGHT]
    assert len(admitted) == len(used)


def test_an_application_that_is_killed_and_started_again_hurts_what_was_asked_meanwhile(
    running: Running, application: Counted
) -> None:
    with under_load(running.port) as load:
        load.go_on(400)
        killed = time.monotonic()
        application.kill()
        load.go_on(200)
        application.start()
        started = time.monotonic()
        load.go_on(400)
    assert_guarded(load, application)
    hurt = load.all(End.FAILED, End.CUT, End.DROPPED)
    assert load.all(End.FAILED)
    assert [outcome for outcome in hurt if not outcome.within(killed, started)] == []


def test_of_two_applications_one_can_be_killed(tmp_path: Path) -> None:
    with ExitStack() as stack:
        victim, other = (stack.enter_context(Counted(tmp_path)) for _ in range(2))
        running = stack.enter_context(sidecar(tmp_path, [victim.url, other.url], sidecar={"workers": WORKERS}))
        with under_load(running.port) as load:
            load.go_on(600)
            before = len(other.handled)
            killed = time.monotonic()
            victim.kill()
            gone = time.monotonic()
            load.go_on(600)
        assert_guarded(load, victim, other)
        assert len(other.handled) - before > 200
        hurt = load.all(End.FAILED, End.CUT, End.DROPPED)
        assert [outcome for outcome in hurt if not outcome.within(killed, gone)] == []
        assert [outcome for outcome in hurt if outcome.asked.kind is Kind.GET] == []


def test_a_reload_fails_no_request_whether_the_file_is_right_or_wrong(running: Running, application: Counted) -> None:
    def reload(says: str, **table: object) -> None:
        told = running.output().count(says)
        sidecar_table = {"listen": f"127.0.0.1:{running.port}", "upstream": application.url, **table}
        running.configure(store=f"sqlite://{running.config.parent}/gate.db", sidecar=sidecar_table)
        running.process.send_signal(signal.SIGHUP)
        running.wait_for(says, told + 1)

    with under_load(running.port) as load:
        load.go_on(300)
        for workers in (1, 3, 2):
            reload("the new settings are in use", workers=workers)
            load.go_on(150)
            reload("reload refused, nothing changes", workers=0)
            load.go_on(150)
    assert_guarded(load, application)
    assert load.all(End.FAILED, End.CUT, End.DROPPED) == []


def test_a_worker_that_is_killed_hurts_its_own_connections_alone(running: Running, application: Counted) -> None:
    with under_load(running.port) as load:
        load.go_on(400)
        victim, survivor = running.workers()
        until(lambda: bool(clients_of(victim, running.port)) and bool(clients_of(survivor, running.port)))
        survivors = clients_of(survivor, running.port)
        killed = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        running.wait_for(f"worker {victim} ended (signal 9) and is replaced")
        gone = time.monotonic()
        load.go_on(400)
    assert_guarded(load, application)
    cut = load.all(End.FAILED, End.CUT, End.DROPPED)
    assert cut
    assert [outcome for outcome in cut if not outcome.within(killed, gone)] == []
    assert survivors.isdisjoint(outcome.client for outcome in cut)


def clients_of(process_id: int, port: int) -> set[int]:
    """The ports of the clients that are connected to a process."""
    descriptors = Path(f"/proc/{process_id}/fd")
    held = {os.readlink(descriptors / name) for name in os.listdir(descriptors)}
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, *rest = line.split()
        if int(local.partition(":")[2], 16) == port and f"socket:[{rest[6]}]" in held:
            found.add(int(remote.partition(":")[2], 16))
    return found - {0}


def test_a_drain_ends_what_it_has_taken(running: Running, application: Counted) -> None:
    with under_load(running.port) as load:
        load.go_on(600)
        running.process.terminate()
        assert running.process.wait(15) == 0
    assert_guarded(load, application)
    assert load.all(End.FAILED, End.CUT) == []
    queued = {outcome.asked.id for outcome in load.all(End.DROPPED)}  # when the listening ended
    assert queued.isdisjoint(request.id for request in application.handled)
