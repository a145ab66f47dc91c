"""The numbers as Prometheus reads them. Labels hold the operator's words and ours, never anything of a client."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from caputchin_gate import __version__
from caputchin_gate.sidecar.admin.health import Check, refused_secrets
from caputchin_gate.sidecar.admin.sources import World
from caputchin_gate.sidecar.counters import BOUNDS, Counts
from caputchin_gate.sidecar.ledger import Snapshot

PREFIX: Final = "caputchin_gate_"


@dataclass(frozen=True, slots=True)
class Counted:
    """A counter of the supervisor's sums: where it stands there, its name here."""

    key: str
    name: str
    help: str
    labels: tuple[str, ...] = ()


COUNTERS: Final = (
    Counted("requests", "requests", "Requests with a readable head."),
    Counted("unguarded", "unguarded_requests", "Requests that no rule guards, or an exemption takes out."),
    Counted("decisions", "decisions", "Decisions about guarded requests.", ("route", "provider", "reason", "admitted")),
    Counted("would_refuse", "report_only", "Guarded requests that report mode let pass.", ("route", "would_refuse")),
    Counted("own", "own_path_requests", "Requests to the gate's own paths, by the status of the answer.", ("status",)),
    Counted("unreadable", "unreadable_requests", "Refused since they are no HTTP with one reading.", ("status",)),
    Counted("failures", "failed_requests", "Requests that the application did not answer well.", ("status",)),
    Counted("connections", "connections", "Connections of clients."),
    Counted("turned_away", "refused_connections", "Connections over a limit."),
    Counted(
        "upstream_failures", "upstream_connect_failures", "Connections that an upstream did not take.", ("server",)
    ),
    Counted("store_operations", "store_operations", "Claims, counts and records that the store was asked for."),
    Counted("store_failures", "store_failures", "Those that the store did not answer."),
    Counted("worker_deaths", "worker_deaths", "Workers that ended without being told to."),
    Counted("reloads", "config_reloads", "Reloads of the settings.", ("result",)),
)


class Numbers(Collector):
    """One scrape. now: monotonic"""

    def __init__(self, snapshot: Snapshot, world: World, checks: Iterable[Check], now: float) -> None:
        self._snapshot = snapshot
        self._world = world
        self._checks = tuple(checks)
        self._now = now

    def collect(self) -> Iterator[Metric]:
        for counted in COUNTERS:
            yield _counter(counted, self._snapshot.counts)
        yield _verifications(self._snapshot.counts)
        yield from self._now_in_workers()
        yield from self._health()
        yield from self._processes()

    def _now_in_workers(self) -> Iterator[Metric]:
        states = [seen.state for seen in self._snapshot.workers]
        for name, text, value in (
            ("open_connections", "Connections of clients, now.", sum(state.connections for state in states)),
            ("in_flight_requests", "Requests that are not answered yet.", sum(state.in_flight for state in states)),
            ("tunnels", "WebSockets, now.", sum(state.tunnels for state in states)),
            ("verifications_in_flight", "Questions to providers, now.", sum(state.verifying for state in states)),
            ("kept_body_bytes", "Bytes of bodies kept before a decision.", sum(state.kept_bytes for state in states)),
        ):
            yield _gauge(name, text, value)

    def _health(self) -> Iterator[Metric]:
        snapshot, world = self._snapshot, self._world
        yield _gauge("ready", "Whether /readyz says yes.", all(check.passed for check in self._checks))
        checks = GaugeMetricFamily(PREFIX + "check", "What /readyz looks at: 1 where it is well.", labels=["check"])
        for check in self._checks:
            checks.add_metric([check.name], check.passed)
        yield checks
        if world.store is not None:
            yield _gauge("store_up", "Whether the store answers.", world.store)
        servers = GaugeMetricFamily(
            PREFIX + "upstream_up", "Whether the application takes connections.", labels=["server"]
        )
        for address, up in world.upstreams.items():
            servers.add_metric([str(address)], up)
        yield servers
        secrets = GaugeMetricFamily(
            PREFIX + "secret_refused", "Whether a provider refuses the secret.", labels=["provider"]
        )
        refused = refused_secrets(snapshot, self._now)
        for name in sorted({name for seen in snapshot.workers for name in seen.state.secrets}):
            secrets.add_metric([name], name in refused)
        yield secrets
        hardening = GaugeMetricFamily(
            PREFIX + "hardening", "The state of a site's challenges: 1 for the present one.", labels=["site", "state"]
        )
        for site, state in sorted({pair for seen in snapshot.serving for pair in seen.state.hardening.items()}):
            hardening.add_metric([site, state], 1)
        yield hardening

    def _processes(self) -> Iterator[Metric]:
        snapshot = self._snapshot
        retired = sum(seen.retired for seen in snapshot.workers)
        workers = GaugeMetricFamily(PREFIX + "workers", "Processes that serve, by state.", labels=["state"])
        workers.add_metric(["ready"], len(snapshot.serving))
        workers.add_metric(["retired"], retired)
        workers.add_metric(["starting"], len(snapshot.workers) - retired - len(snapshot.serving))
        yield workers
        yield _gauge(
            "config_last_reload_timestamp_seconds", "When new settings were last taken.", snapshot.reloaded or 0.0
        )
        yield _gauge("start_time_seconds", "When the sidecar began.", snapshot.started)
        build = GaugeMetricFamily(PREFIX + "build_info", "The version.", labels=["version", "python"])
        build.add_metric([__version__, platform.python_version()], 1)
        yield build


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value=float(value))


def _counter(counted: Counted, counts: Counts) -> Metric:
    family = CounterMetricFamily(PREFIX + counted.name, counted.help, labels=counted.labels)
    if not counted.labels:
        family.add_metric([], counts.get((counted.key,), 0))
    for key, times in sorted(counts.items()):
        if counted.labels and key[0] == counted.key:
            family.add_metric(key[1:], times)
    return family


def latencies(counts: Counts) -> Mapping[tuple[str, str], list[tuple[str, float]]]:
    """Verifications by provider and result: how many took at most so long."""
    found: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for _, provider, result in sorted(key for key in counts if key[0] == "verified_seconds"):
        below, buckets = 0.0, []
        for bound in (*map(str, BOUNDS), "+Inf"):
            below += counts.get(("verified", provider, result, bound), 0)
            buckets.append((bound, below))
        found[provider, result] = buckets
    return found


def _verifications(counts: Counts) -> Metric:
    family = HistogramMetricFamily(
        PREFIX + "verification_seconds", "How long the verification of a token took.", labels=["provider", "result"]
    )
    for by, buckets in latencies(counts).items():
        family.add_metric(by, buckets, sum_value=counts["verified_seconds", *by])
    return family
