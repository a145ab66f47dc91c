"""Whether the sidecar is alive, and whether it is ready to serve; what is missing, and what mends it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from caputchin_gate.secret_health import is_refused
from caputchin_gate.sidecar.admin.sources import World
from caputchin_gate.sidecar.ledger import Snapshot

_SILENT: Final = "the supervisor does not answer"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to be well. `trouble` and `fix` are empty where it is; they hold no secret and no token."""

    name: str
    trouble: str = ""
    fix: str = ""

    @property
    def passed(self) -> bool:
        return not self.trouble


def alive(snapshot: Snapshot | None) -> list[Check]:
    """Restarting would help where this fails, and nowhere else."""
    if snapshot is None:
        return [Check("supervisor", _SILENT, "restart the sidecar")]
    if not any(seen.ready for seen in snapshot.workers):
        return [Check("workers", "no worker serves", "the log says why they end")]
    return [Check("workers")]


def ready(snapshot: Snapshot | None, world: World, now: float) -> list[Check]:
    """Everything that has to be well before requests are sent here. now: monotonic"""
    if snapshot is None:
        return alive(snapshot)
    checks = [
        Check("workers", *([] if snapshot.serving or snapshot.ending else ["no worker serves", "the log says why"])),
        Check("draining", "the sidecar is ending", "send requests elsewhere") if snapshot.ending else Check("draining"),
    ]
    if world.store is not None:
        down = Check("store", "the store does not answer", "see the log for the trouble of the store, and its setting")
        checks.append(Check("store") if world.store else down)
    if world.upstreams:
        checks.append(_upstream(world))
    refused = sorted(refused_secrets(snapshot, now))
    named = ", ".join(refused)
    fix = "set the secret that belongs to your site at the provider, and reload"
    checks.append(Check("secret", f"refused by the provider: {named}", fix) if refused else Check("secret"))
    return checks


def _upstream(world: World) -> Check:
    if any(world.upstreams.values()):
        return Check("upstream")
    named = ", ".join(map(str, world.upstreams))
    return Check("upstream", f"no connection to {named}", "start the application, or correct sidecar.upstream")


def refused_secrets(snapshot: Snapshot, now: float) -> set[str]:
    """The providers whose last word about our secret, to whichever worker, was a no."""
    refused: dict[str, float] = {}
    accepted: dict[str, float] = {}
    for seen in snapshot.serving:
        for name, said in seen.state.secrets.items():
            refused[name] = max(refused.get(name, 0.0), said.refused_at)
            accepted[name] = max(accepted.get(name, 0.0), said.accepted_at)
    return {name for name in refused if is_refused(refused[name], accepted[name], now)}


def told(checks: Iterable[Check]) -> dict[str, Any]:
    """The checks as JSON."""
    found = tuple(checks)
    return {"ok": all(check.passed for check in found), "checks": {check.name: _about(check) for check in found}}


def _about(check: Check) -> Mapping[str, Any]:
    return {"ok": True} if check.passed else {"ok": False, "trouble": check.trouble, "fix": check.fix}
