"""The documentation as a site: every page is on it, every link leads somewhere, every public name has a place."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from sphinx.util.inventory import InventoryFile

from caputchin_gate import providers

ROOT = Path(__file__).parents[1]
PUBLIC = (
    *("caputchin_gate", "caputchin_gate.asgi", "caputchin_gate.wsgi"),
    *("caputchin_gate.starlette", "caputchin_gate.fastapi", "caputchin_gate.flask"),
    *("caputchin_gate.django", "caputchin_gate.testing"),
)
# What is in `__all__` for the type checker, or as another module's: it is described there.
ELSEWHERE = {
    "caputchin_gate.Verdict",
    "caputchin_gate.starlette.InstalledGate",
    "caputchin_gate.fastapi.Refused",
    "caputchin_gate.fastapi.RequireHuman",
    "caputchin_gate.fastapi.decision_of",
    "caputchin_gate.flask.InstalledGate",
    "caputchin_gate.django.GateMiddleware",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` does; a page without a place, a dead link and whatever else Sphinx warns of is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-nW", "--keep-going", "-q", "docs", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_on_the_site(site: Path) -> None:
    pages = [page.relative_to(ROOT / "docs").with_suffix(".html") for page in (ROOT / "docs").rglob("*.md")]
    assert len(pages) > 20
    assert [page for page in pages if not (site / page).exists()] == []


def test_the_reference_describes_every_public_name(site: Path) -> None:
    inventory = InventoryFile.load((site / "objects.inv").open("rb"), "", lambda base, path: path)
    described = {name for kind, names in inventory.items() if kind.startswith("py:") for name in names}
    public = {f"{module}.{name}" for module in PUBLIC for name in import_module(module).__all__}
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in map(providers.load, providers.kinds())}
    assert sorted((public | kinds) - ELSEWHERE - described) == []
