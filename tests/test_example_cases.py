"""The examples for one case each: no route of them is left open, and several processes do what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from caputchin_gate.testing import solve
from tests.redis_servers import RedisServer, free_port, until
from tests.servers import ROOT, inherited, serve
from tests.test_testing_examples import CASES

ENVIRONMENT = {"PROSOPO_SECRET": "0xa-secret-that-nobody-asks-with", "GATE_SIGNING_KEY": "k" * 32}
FOLDER = ROOT / "examples"

# Which line of an example protects a route, and what stands there when somebody forgets it.
FORGOTTEN: dict[str, tuple[str, str, str]] = {
    "behind_a_proxy": ("gate.toml", 'protect = ["POST /votes"]', 'protect = ["POST /vote"]'),
    "content_security_policy": ("app.py", ", dependencies=[Depends(require_human)]", ""),
    "fastapi_signup": ("app.py", ", dependencies=[Depends(require_human)]", ""),
    "flask_signup": ("app.py", "    @require_human\n    def post", "    def post"),
    "many_machines": ("gate.toml", 'protect = ["POST /wishes"]', 'protect = ["POST /wish"]'),
    "migration": ("gate.toml", 'match = "POST /contact"', 'match = "POST /contacts"'),
    "mobile_api": ("gate.toml", "POST|PUT|PATCH|DELETE /api/{rest:path}", "POST|PUT|PATCH|DELETE /apis/{rest:path}"),
    "multi_step": ("gate.toml", 'protect = ["POST /{rest:path}"]', 'protect = ["POST /date", "POST /confirm"]'),
    "uploads": ("gate.toml", 'match = "POST /files"', 'match = "POST /file"'),
}


def audited(folder: Path, state: Path) -> subprocess.CompletedProcess[str]:
    """What the audit says about the application in a folder. Where all rules are in the code, it needs some file."""
    settings = folder / "gate.toml"
    if not settings.exists():
        settings.write_text('protect = ["/none"]\n[provider]\nkind = "caputchin"\nverification = "in-process"\n')
    text = (folder / "app.py").read_text()
    made = {"application": "\napplication = ", "create_app()": "\ndef create_app(", "app": "\napp = "}
    application = next(name for name, line in made.items() if line in text)
    return subprocess.run(
        [sys.executable, "-m", "caputchin_gate", "audit", "gate.toml", f"app:{application}"],
        cwd=folder,
        env={
            **inherited(),
            **ENVIRONMENT,
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(state),
            "CAPUTCHIN_GATE_STORE": "memory",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def copied(example: str, to: Path) -> Path:
    return Path(shutil.copytree(FOLDER / example, to / example, ignore=shutil.ignore_patterns("__pycache__")))


def test_each_case_is_audited() -> None:
    assert FORGOTTEN.keys() >= set(CASES)


@pytest.mark.parametrize("example", FORGOTTEN)
def test_the_audit_finds_no_open_route_and_finds_the_one_that_somebody_forgets(example: str, tmp_path: Path) -> None:
    folder = copied(example, tmp_path)
    whole = audited(folder, tmp_path)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    name, line, forgotten = FORGOTTEN[example]
    text = (folder / name).read_text()
    assert text.count(line) == 1
    (folder / name).write_text(text.replace(line, forgotten))
    open_route = audited(folder, tmp_path)
    assert open_route.returncode == 1, open_route.stdout + open_route.stderr
    assert re.search(r"unprotected|no rule", open_route.stdout), open_route.stdout


@contextmanager
def many_machines(folder: Path) -> Iterator[list[str]]:
    """Two processes of the example, each as if on a machine of its own, and the Redis that they share."""
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(folder / "redis"))
        environment = {**ENVIRONMENT, "CAPUTCHIN_GATE_STORE": redis.url}
        machines = [
            stack.enter_context(
                serve("gunicorn-sync", "examples.many_machines.app:application", environment=environment)
            )
            for _ in range(2)
        ]
        yield [f"http://127.0.0.1:{machine.port}" for machine in machines]


def test_a_token_of_one_machine_is_good_on_another_and_then_on_none(tmp_path: Path) -> None:
    with many_machines(tmp_path) as (here, there), httpx2.Client() as browser:
        token = solve(here)
        assert browser.get(there).status_code == 200
        form = {"wish": "Rain", "csrfmiddlewaretoken": browser.cookies["csrftoken"], "caputchin-token": token}
        assert [browser.post(f"{machine}/wishes", data=form).status_code for machine in (there, here, there)] == [
            200,
            403,
            403,
        ]


def test_behind_nginx_a_visitor_can_not_say_who_it_is(tmp_path: Path) -> None:
    with serve(
        "gunicorn-gthread", "examples.behind_a_proxy.app:app", environment={"XDG_STATE_HOME": str(tmp_path)}
    ) as server:
        port = free_port()
        text = (FOLDER / "behind_a_proxy" / "nginx.conf").read_text()
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        (tmp_path / "nginx.conf").write_text(text)
        path = f"{os.environ['PATH']}:/usr/sbin"
        command = ["nginx", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)]
        with subprocess.Popen(command, env={**os.environ, "PATH": path}, stderr=subprocess.DEVNULL) as nginx:
            try:
                url = f"http://127.0.0.1:{port}"
                until(lambda: _answers(url))
                form = {"drink": "tea", "caputchin-token": solve(url)}
                # If what the visitor says were believed, the challenge would be another client's, and refused.
                answer = httpx2.post(f"{url}/votes", data=form, headers={"X-Forwarded-For": "203.0.113.9"})
                assert answer.status_code == 200
                assert "tea: 1" in answer.text
            finally:
                nginx.terminate()


def _answers(url: str) -> bool:
    try:
        return bool(httpx2.get(url).status_code == 200)
    except httpx2.TransportError:
        return False
