"""The test suites that we show to authors of applications run, as they would run them: pytest and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT, inherited

pytestmark = pytest.mark.exhaustive

PAGE = ROOT / "docs" / "testing.md"
CASES = (
    "behind_a_proxy",
    "content_security_policy",
    "many_machines",
    "migration",
    "mobile_api",
    "multi_step",
    "uploads",
)
EXAMPLES = {
    "fastapi_signup": ["fastapi_signup"],
    "flask_signup": ["flask_signup"],
    **{name: [name] for name in CASES},
    "single files": ["test_fastapi_newsletter.py", "test_flask_guestbook.py", "test_django_contact.py"],
}


def run(command: list[str], folder: Path, state: Path) -> str:
    """What it prints. The package is on the path, as if it were installed."""
    environment = {**inherited(), "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(state)}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def suites() -> dict[str, dict[str, str]]:
    """The files of each section of the page, by name: each begins with it."""
    found: dict[str, dict[str, str]] = {}
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    for section in sections:
        files = re.findall(r"^```py\n# (\w+\.py)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        if files:
            found[section.partition("\n")[0]] = dict(files)
    return found


def test_the_page_shows_a_suite_for_each_framework() -> None:
    assert list(suites()) == ["With pytest", "FastAPI and Starlette", "Django"]


@pytest.mark.parametrize("section", suites())
def test_the_suites_of_the_page_pass(section: str, tmp_path: Path) -> None:
    suite = suites()[section]
    for name, text in suite.items():
        (tmp_path / name).write_text(text)
    said = run(["-m", "pytest", "-rA", "-W", "error::pytest.PytestWarning"], tmp_path, tmp_path)
    promised = re.findall(r"^ *def (test_\w+)", suite["test_shop.py"], re.MULTILINE)
    assert all(f"PASSED test_shop.py::{name}" in said.replace("ContactTest::", "") for name in promised)


def test_the_suite_that_needs_no_pytest_runs_without_it(tmp_path: Path) -> None:
    for name, text in suites()["Django"].items():
        (tmp_path / name).write_text(text)
    (tmp_path / "pytest.py").write_text("raise ModuleNotFoundError('there is no pytest here')")
    assert "\nRan 3 tests in " in run(["-m", "unittest", "test_shop"], tmp_path, tmp_path)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_own_tests_pass(example: str, tmp_path: Path) -> None:
    run(["-m", "pytest", *(f"examples/{name}" for name in EXAMPLES[example])], ROOT, tmp_path)


def test_the_example_of_django_passes_with_django_s_own_runner(tmp_path: Path) -> None:
    assert "\nRan 5 tests in " in run(["manage.py", "test"], ROOT / "examples" / "django_signup", tmp_path)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("examples", "one application at a time: pytest "),
        ("examples/django_signup", "django_signup && python manage.py test"),
    ],
)
def test_what_pytest_can_t_run_in_one_process_it_names(asked: str, said: str) -> None:
    command = [sys.executable, "-m", "pytest", asked]
    done = subprocess.run(command, cwd=ROOT, env=inherited(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert said in done.stderr + done.stdout


def test_every_application_of_the_examples_has_tests() -> None:
    applications = {
        *(ROOT / "examples").glob("*/app.py"),
        *(file for file in (ROOT / "examples").glob("*.py") if not file.name.startswith(("test_", "conftest"))),
    }
    assert len(applications) == 5 + len(CASES)
    assert [file for file in applications if not file.with_name(f"test_{file.name}").exists()] == []


def test_a_gate_that_nobody_names_is_asked_for_in_words(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["caputchin_gate.testing"]\n')
    (tmp_path / "test_shop.py").write_text("def test_nothing(captcha): ...\n")
    environment = {**inherited(), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "the fixture `captcha_gate` has to give the application's gate" in done.stdout


def test_pytest_without_the_line_loads_nothing_of_ours(tmp_path: Path) -> None:
    code = "import sys\ndef test_nothing(): assert 'caputchin_gate' not in sys.modules\n"
    (tmp_path / "test_shop.py").write_text(code)
    run(["-m", "pytest"], tmp_path, tmp_path)
