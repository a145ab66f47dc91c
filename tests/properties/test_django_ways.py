"""Whatever a request is, all ways of Django decide the same about it, and its view reads the same decision."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path
from hypothesis import given, settings
from hypothesis import strategies as st

from caputchin_gate.django import decision_of, require_human
from tests.django_ways import WAYS, Site, settings_of
from tests.test_doors import fresh_token

FORM = "application/x-www-form-urlencoded"
ran: list[str | None] = []


def tell(request: HttpRequest, **variables: str) -> HttpResponse:
    decision = decision_of(request)
    ran.append(decision.reason if decision is not None else None)
    return HttpResponse()


URLS = [
    path("contact", require_human(tell)),
    path("contact/", tell),
    re_path(r"^t/(?P<slug>[^/]+)/reply$", require_human(on_refuse="pass")(tell)),
    path("open", tell),
    path("<path:rest>", tell),
]
methods = st.sampled_from(["POST", "PUT", "GET", "DELETE", "PATCH"])
PLAIN = ["/contact", "/contact/", "/t/a/reply", "/open", "/ruled", "/hooks/stripe", "/hooks/other", "/%C3%A9"]
ODD = [
    "//contact",
    "/%63ontact",
    "/contact?_method=post",
    "/t/%2e%2e/reply",
    "/t/a%2fb/reply",
    "/T/a/Reply",
    "/a/../open",
]
targets = st.sampled_from([*PLAIN, *ODD])
kinds = st.sampled_from([FORM, "application/json", "text/plain", "multipart/form-data; boundary=xXx", "x"])
bodies = st.sampled_from(
    [b"", b"name=Ann", b"{", b"name=Ann&caputchin-token={fresh}", b'{"caputchin-token":"{fresh}"}']
)


@settings(max_examples=30, deadline=None)
@given(methods, targets, kinds, bodies, st.booleans())
def test_all_ways_of_django_agree(method: str, target: str, kind: str, body: bytes, in_header: bool) -> None:
    answers = set()
    with settings_of(URLS, ["POST /ruled", "POST /hooks/{name}"], gate={"exempt": ["POST /hooks/stripe"]}):
        for way in WAYS:
            ran.clear()
            headers = {"Content-Type": kind, **({"X-Caputchin-Token": fresh_token()} if in_header else {})}
            answer = Site(way).send(method, target, body.replace(b"{fresh}", fresh_token().encode()), headers)
            answers.add((answer.status, tuple(ran)))
    assert len(answers) == 1, answers
