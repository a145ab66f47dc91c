"""What a path of Django can be: the rule of a marked view never matches less than its regular expression."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caputchin_gate.django.marked import is_wider
from caputchin_gate.django.regexes import Pieces, joined, spellings
from caputchin_gate.marks import pattern
from caputchin_gate.messages import RequestHead
from caputchin_gate.routes import RouteTable, Rule

# regex, the rules that stand for it, whether they are wider (then a warning says so)
TABLE = [
    (r"^contact/\Z", ["/contact/"], False),
    (r"^contact/$", ["/contact/"], False),
    (r"contact/$", ["/contact/"], False),  # Django wants all of a path that ends with $
    (r"^contact", ["/{rest:path}"], True),
    (r"^contact/", ["/contact/{rest:path}"], False),
    (r"^t/(?P<slug>[-a-zA-Z0-9_]+)/reply\Z", ["/t/{variable1}/reply"], False),
    (r"^files/(?P<name>.+)/edit\Z", ["/files/{rest:path}"], True),
    (r"^files/(?P<name>.+)\Z", ["/files/{rest:path}"], False),
    (r"^articles/([0-9]{4})/(?:draft/)?$", ["/articles/{variable1}/", "/articles/{variable1}/draft/"], False),
    (r"^(?:page|seite)/(?:help|about)/?$", None, False),
    (r"^(?P<x>[^/]*)/list$", ["/list", "/{variable1}/list"], False),
    (r"^[\w-]+\d+\.html$", ["/{variable1}.html"], False),
    (r"^\D/x$", ["/{rest:path}"], True),
    (r"^[^a-z]x$", ["/{rest:path}"], True),
    (r"^(?!admin)[a-z]+/$", ["/{variable1}/"], False),
    (r"^(a)\1$", ["/{rest:path}"], True),
    (r"^(?:a?)+b$", None, False),
    (r"(?i)^Contact$", ["/Contact"], False),
    (r"^a$|^b", ["/{rest:path}"], True),
    (r"^(?:aa|bb|cc|dd)(?:ee|ff|gg|hh)(?:ii|jj|kk|ll)$", ["/{rest:path}"], True),
    (r"^100%/a b$", ["/100%25/a%20b"], False),
    (r"^$", ["/"], False),
]


def paths_of(regex: str) -> list[Pieces]:
    return [joined(("/", *pieces)) for pieces in spellings(regex, whole=regex.endswith("$"), goes_on=False)]


@pytest.mark.parametrize(("regex", "rules", "wider"), TABLE, ids=[regex for regex, *_ in TABLE])
def test_a_regex_is_said_in_rules(regex: str, rules: list[str] | None, wider: bool) -> None:
    paths = paths_of(regex)
    if rules is not None:
        assert set(map(pattern, paths)) == set(rules)
    assert any(map(is_wider, paths)) is wider


@pytest.mark.parametrize("regex", [regex for regex, *_ in TABLE])
@settings(max_examples=30)
@given(data=st.data())
def test_whatever_a_regex_matches_is_guarded(regex: str, data: st.DataObject) -> None:
    whole = regex.endswith("$")
    path = data.draw(st.from_regex(regex, fullmatch=whole, alphabet=st.characters(max_codepoint=0x2FF)))
    table = RouteTable([Rule(f"POST {rule}", None, if_needed=True) for rule in map(pattern, paths_of(regex))])
    assert re.search(regex, path)
    assert table.match(RequestHead("POST", f"/{path}")) is not None
