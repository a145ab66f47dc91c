"""`examples/django_signup` as members use it: a mistake corrected, with a receipt and without; the admin's login."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_signup_examples import (
    HTMX,
    test_a_page_that_sends_with_fetch_shows_the_refusal_and_gets_a_fresh_token,
    test_an_htmx_form_shows_mistakes_and_refusals_and_is_sent_again,
)
from tests.servers import ROOT, Server, inherited, serve
from tests.wire import exchange, request_bytes

__all__ = [  # these run here once more, with the `forms` below
    "test_a_page_that_sends_with_fetch_shows_the_refusal_and_gets_a_fresh_token",
    "test_an_htmx_form_shows_mistakes_and_refusals_and_is_sent_again",
]

EXAMPLE = ROOT / "examples" / "django_signup"
ADMIN = {
    "DJANGO_SUPERUSER_USERNAME": "ann",
    "DJANGO_SUPERUSER_PASSWORD": "pw-of-ann",
    "DJANGO_SUPERUSER_EMAIL": "a@b.example",
}
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    state = tmp_path_factory.mktemp("club")
    environment = {"XDG_STATE_HOME": str(state), "CLUB_DATABASE": str(state / "club.sqlite3")}
    for command in (["check", "--fail-level", "WARNING"], ["migrate", "-v", "0"], ["createsuperuser", "--noinput"]):
        subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=EXAMPLE,
            env={**inherited(), **environment, **ADMIN},
            check=True,
            capture_output=True,
            timeout=60,
        )
    with serve(
        "gunicorn-gthread", "club.wsgi:application", environment=environment, options=["--chdir", str(EXAMPLE)]
    ) as site:
        yield site


@pytest.fixture
def forms(server: Server, page: Page) -> Page:
    page.route("**/static/htmx.min.js", lambda route: route.fulfill(path=HTMX))
    page.goto(f"http://127.0.0.1:{server.port}/talk/")
    return page


def fill_sign_up(page: Page, name: str, again: str = PASSWORD) -> None:
    page.fill("[name=username]", name)
    page.fill("[name=password1]", PASSWORD)
    page.fill("[name=password2]", again)
    page.click("button")


def test_a_member_who_mistypes_signs_up_all_the_same(page: Page, server: Server) -> None:
    page.goto(f"http://127.0.0.1:{server.port}/")
    fill_sign_up(page, "bo", "mistyped")
    expect(page.locator("body")).to_contain_text("The two password fields")
    assert [cookie["name"] for cookie in page.context.cookies() if "caputchin" in cookie["name"]]
    page.fill("[name=password1]", PASSWORD)
    page.fill("[name=password2]", PASSWORD)
    page.evaluate("document.querySelector('form').submit()")  # without the widget, so without a token
    expect(page.locator("h1")).to_have_text("Welcome to the club")


def test_without_a_receipt_each_try_gets_a_token_of_its_own(page: Page, server: Server) -> None:
    page.goto(f"http://127.0.0.1:{server.port}/comment/")
    page.evaluate("document.querySelector('form').noValidate = true")
    page.fill("[name=comment]", "Hm")
    page.click("button")
    expect(page.locator("body")).to_contain_text("at least 5 characters")
    page.fill("[name=comment]", "It was lovely")
    page.click("button")
    expect(page.locator("#comments li").last).to_have_text("It was lovely")


@pytest.mark.parametrize("path", ["/", "/comment/"])
def test_without_the_widget_the_form_says_why_and_nothing_happens(page: Page, server: Server, path: str) -> None:
    page.context.set_extra_http_headers({"Accept-Language": "de"})
    page.route("**/.caputchin/**", lambda route: route.abort())
    page.goto(f"http://127.0.0.1:{server.port}{path}")
    for field in page.query_selector_all("input:not([type=hidden])"):
        field.fill("something else")
    page.evaluate("document.querySelector('form').submit()")
    expect(page.locator(".errorlist li", has_text="Die Prüfung dieses Formulars fehlte.")).to_be_visible()
    assert "something else" not in page.locator("#comments").inner_text()


def test_the_admin_s_login_takes_a_person_and_no_bot(page: Page, server: Server) -> None:
    page.goto(f"http://127.0.0.1:{server.port}/admin/")
    page.fill("[name=username]", ADMIN["DJANGO_SUPERUSER_USERNAME"])
    page.fill("[name=password]", "wrong")
    page.click("[type=submit]")
    expect(page.locator(".errornote")).to_contain_text("Please enter the correct username and password")
    page.fill("[name=username]", ADMIN["DJANGO_SUPERUSER_USERNAME"])
    page.fill("[name=password]", ADMIN["DJANGO_SUPERUSER_PASSWORD"])
    page.click("[type=submit]")
    expect(page.locator("#site-name")).to_be_visible()
    expect(page.locator("#user-tools")).to_contain_text("Log out")


def test_the_admin_s_login_tells_the_state_of_its_check(page: Page, server: Server) -> None:
    page.goto(f"http://127.0.0.1:{server.port}/admin/login/")
    status = page.locator("#login-form [data-captcha-status]")
    expect(status).to_have_text("Protection standby")
    page.fill("[name=username]", ADMIN["DJANGO_SUPERUSER_USERNAME"])
    expect(status).to_have_text("Protection active")


def test_without_a_challenge_the_admin_s_login_sends_nothing_and_says_why(page: Page, server: Server) -> None:
    page.route("**/challenge", lambda route: route.abort())
    page.goto(f"http://127.0.0.1:{server.port}/admin/login/")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.fill("[name=username]", ADMIN["DJANGO_SUPERUSER_USERNAME"])
    page.fill("[name=password]", ADMIN["DJANGO_SUPERUSER_PASSWORD"])
    page.click("[type=submit]")
    expect(page.locator("[data-captcha-status]")).to_have_text("Verification unavailable")
    assert [url for url in sent if not url.endswith("/challenge")] == []
    page.unroute("**/challenge")
    page.click("[type=submit]")
    expect(page.locator("#user-tools")).to_contain_text("Log out")


def test_a_bot_at_the_admin_s_login_never_learns_whether_a_password_is_right(page: Page, server: Server) -> None:
    page.route("**/.caputchin/**", lambda route: route.abort())
    answers = []
    for password in ("wrong", ADMIN["DJANGO_SUPERUSER_PASSWORD"]):
        page.goto(f"http://127.0.0.1:{server.port}/admin/login/")
        page.fill("[name=username]", ADMIN["DJANGO_SUPERUSER_USERNAME"])
        page.fill("[name=password]", password)
        page.evaluate("document.querySelector('form').submit()")
        expect(page.locator(".errornote")).to_have_text(
            "The check of this form was missing. Please allow JavaScript and send it again."
        )
        answers.append(page.locator("body").inner_text())
    assert answers[0] == answers[1]


def test_an_unreadable_form_reaches_no_view(server: Server) -> None:
    head = "POST /\nContent-Type: application/x-www-form-urlencoded; charset=utf-16"
    assert exchange(server.port, request_bytes(head, b"username=bo")).status == 415
