"""docs/django.md, followed to the letter: a project is made, its files get what the page says, and it is run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from caputchin_gate.django import system_checks
from caputchin_gate.engines.solver import solve
from tests.servers import Server, serve
from tests.test_docs import DJANGO, blocks
from tests.wire import exchange, request_bytes

CONSOLE = re.compile(r"^\$ (.*)$", re.MULTILINE)
STARTED_ELSEWHERE = ("pip install", "python manage.py runserver")  # the packages are there; the server is below


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    return tmp_path


def run(project: Path, *command: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=project, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def solved(server: Server) -> str:
    asked = request_bytes("POST /.caputchin/api/v1/captcha/challenge\nContent-Type: application/json", b"{}")
    challenge = json.loads(exchange(server.port, asked).body)
    return f"{challenge['token']}.{solve(challenge['token'], challenge['target'])}"


def test_a_reader_who_does_as_the_page_says_has_a_guarded_form(project: Path) -> None:
    make, check = (CONSOLE.findall(block) for block in blocks(DJANGO, "console"))
    for command in make:
        if not command.startswith(STARTED_ELSEWHERE):
            run(project, *command.split())
    first, urls, *snippets, admin, api = blocks(DJANGO, "python")
    settings = project / "mysite" / "settings.py"
    settings.write_text(settings.read_text() + first)
    (project / "mysite" / "urls.py").write_text(urls)
    for command in check:
        if not command.startswith(STARTED_ELSEWHERE):
            assert "no issues" in run(project, *command.split())
    with serve("gunicorn-gthread", "mysite.wsgi:application", options=["--chdir", str(project)]) as server:
        page = exchange(server.port, request_bytes("GET /", b""))
        assert b'<script src="/.caputchin/captcha.js" defer></script>' in page.body
        (csrf,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.body.decode())
        cookie = page.headers["set-cookie"].partition(";")[0]
        form = f"POST /\nContent-Type: application/x-www-form-urlencoded\nCookie: {cookie}"
        filled = f"csrfmiddlewaretoken={csrf}&message=hello"
        refused = exchange(server.port, request_bytes(form, filled.encode()))
        assert b"The check of this form was missing" in refused.body
        admitted = exchange(server.port, request_bytes(form, f"{filled}&caputchin-token={solved(server)}".encode()))
        assert admitted.body == b"Sent."
    # Whatever else stands on the page, in the same project.
    (project / "mysite" / "more.py").write_text("\n".join(["from mysite.urls import *", *snippets, api]))
    settings.write_text(settings.read_text() + admin)
    run(project, "python", "manage.py", "shell", "-c", "import mysite.more")
    run(project, "python", "manage.py", "check")


def test_every_check_is_on_the_page() -> None:
    listed = re.findall(r"`(caputchin_gate\.[EW]\d{3})`", DJANGO.read_text())
    assert listed == re.findall(r"caputchin_gate\.[EW]\d{3}", system_checks.__doc__ or "")
