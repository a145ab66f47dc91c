"""For the tests of the examples, one application at a time: pytest examples/fastapi_signup"""

from pathlib import Path

import pytest

pytest_plugins = ["caputchin_gate.testing"]

FOLDER = pytest.StashKey[Path]()


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Each folder is an application of its own, and a process holds one: all are named `app`, some configure Django."""
    if not isinstance(collector, pytest.Module):
        return
    folder = collector.path.parent
    if (folder / "manage.py").exists():
        raise pytest.UsageError(f"Django runs the tests of this one itself: cd {folder} && python manage.py test")
    if collector.config.stash.setdefault(FOLDER, folder) != folder:
        every = "pytest -m exhaustive tests/test_testing_examples.py"
        raise pytest.UsageError(f"one application at a time: pytest {folder}; or each in its process: {every}")
