"""What holds for every target, pattern and mount, whatever they are."""

from __future__ import annotations

import re
import string
import sys
from urllib.parse import quote, unquote_to_bytes

from hypothesis import example, given
from hypothesis import strategies as st

from caputchin_gate.messages import RequestHead
from caputchin_gate.routes import Ambiguous, Exempt, RouteTable, Rule
from caputchin_gate.routes.path_patterns import PathTree, parse
from caputchin_gate.routes.target_views import MOST_VIEWS, PLAIN, _steps, decode, fold, views_of, way_to

ATOMS = st.sampled_from(
    [
        *(
            "/",
            "//",
            ".",
            "..",
            "/../",
            "/./",
            "x../",
            ";",
            ";a=1",
            "?",
            "#",
            "\0",
            "%",
            "%2f",
            "%2e",
            "%25",
            "%5c",
            "%00",
        ),
        *(
            "%c3%a9",
            "%ff",
            "%zz",
            "\\",
            "\t",
            "\r",
            "\n",
            " ",
            "\x85",
            "\u00e9",
            "\u2028",
            "\uff0f",
            "\ufdfa",
            "\udc80",
        ),
        *("login", "LOGIN", "t", "reply", "/login", "/t/x/reply", "app", "/app", "http:", "http://h", ":", "x", "@"),
    ]
)
TARGETS = st.one_of(st.lists(ATOMS, max_size=12).map("".join), st.text(max_size=40), st.text("/.;%25aA\\", max_size=30))
ROOTS = st.one_of(st.just(""), st.just("/app"), st.lists(ATOMS, max_size=4).map("".join))
SITE = RouteTable([Rule("POST /login", None), Rule("POST /t/{slug}/reply", None)])
EVERYTHING = RouteTable([Rule("* /{rest:path}", None)], exempt=["POST /t/{name}"])


def is_guarded(table: RouteTable[None], head: RequestHead) -> bool:
    outcome = table.match(head)
    if table.untouched(head.path, head.raw_path, head.root_path):
        assert outcome is None
    return isinstance(outcome, Rule | Ambiguous)


@given(st.text("%=aF0_ \n\r\t\0\u00e9\ud800", max_size=12) | TARGETS)
def test_escapes_are_decoded_as_the_standard_library_does(target: str) -> None:
    assert decode(target) == unquote_to_bytes(target.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")


def test_what_equals_a_letter_where_case_is_ignored_folds_to_it() -> None:
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    alike = re.findall("[a-z0-9]", every, re.IGNORECASE)
    assert len(alike) > 62
    for letter in string.ascii_lowercase + string.digits:
        assert {fold(one) for one in alike if re.fullmatch(letter, one, re.IGNORECASE)} == {letter}


@given(TARGETS, st.none() | TARGETS, ROOTS)
def test_no_target_breaks_the_search_or_its_bound(path: str, raw_path: str | None, root_path: str) -> None:
    views = views_of(path, raw_path, root_path)
    if views is None:
        assert is_guarded(SITE, RequestHead("POST", path, raw_path, root_path))
    else:
        assert (path or "/") in views.usual
        assert raw_path is None or not raw_path or raw_path in views.usual
        assert len(views.usual) <= 5 * MOST_VIEWS  # the mount has at most four spellings


@given(TARGETS, ROOTS)
def test_views_are_closed_under_every_step(path: str, root_path: str) -> None:
    views = views_of(path, None, root_path)
    if views is not None and not views.plain and not root_path:
        for view in views.usual:
            assert set(_steps(view)) <= set(views.usual)


@given(st.from_regex(PLAIN, fullmatch=True))
def test_a_plain_target_has_one_reading(path: str) -> None:
    """The fast way must not leave out what the slow one would find."""
    assert {reading.rstrip("/") for reading in _steps(path)} <= {path.rstrip("/")}


@given(TARGETS, st.none() | TARGETS, ROOTS)
@example("/login", "/open", "")
@example("/login", None, "/login")
def test_no_other_target_and_no_mount_takes_protection_away(path: str, raw_path: str | None, root_path: str) -> None:
    alone = RequestHead("POST", path)
    if is_guarded(SITE, alone):
        assert is_guarded(SITE, RequestHead("POST", path, raw_path, root_path))


@given(TARGETS, st.dictionaries(st.text(max_size=25), st.lists(st.text(max_size=8), max_size=3)), st.text(max_size=40))
def test_no_header_and_no_query_takes_protection_away(path: str, headers: dict[str, list[str]], query: str) -> None:
    if is_guarded(SITE, RequestHead("POST", path)):
        assert is_guarded(SITE, RequestHead("POST", path, query=query, headers=headers))


@given(st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1))
def test_every_slug_that_a_router_can_hand_out_is_guarded(slug: str) -> None:
    path = f"/t/{slug}/reply"
    in_wsgi = path.encode().decode("latin-1")
    as_sent = quote(path)
    for spelled in (path, in_wsgi, as_sent, as_sent + "%0a"):
        assert is_guarded(SITE, RequestHead("POST", spelled))


@given(st.binary(min_size=1).filter(lambda slug: b"/" not in slug))
def test_every_slug_of_bytes_is_guarded_as_asgi_and_wsgi_hand_it_over(slug: bytes) -> None:
    path = b"/t/" + slug + b"/reply"
    for spelled in (path.decode("latin-1"), path.decode("utf-8", "replace"), path.decode("utf-8", "surrogateescape")):
        assert is_guarded(SITE, RequestHead("POST", spelled))


@given(TARGETS, st.none() | TARGETS, ROOTS)
def test_only_the_plain_spelling_of_an_exemption_is_exempt(path: str, raw_path: str | None, root_path: str) -> None:
    outcome = EVERYTHING.match(RequestHead("POST", path, raw_path, root_path))
    if isinstance(outcome, Exempt):
        assert re.fullmatch(r"/t/[A-Za-z0-9_~@!$&'()*+,:=.-]+", path)
        assert raw_path in (None, "", path) or raw_path == root_path + path
    else:
        assert isinstance(outcome, Rule | Ambiguous)


# The tree against the plain reading of the pattern language

SEGMENTS = st.sampled_from(["a", "b", "ab", "{x}", "a{x}", "{x}b", "a{x}b", "{x}-{y}", "{x}a{y}", "{x}{y}"])
PATTERNS = st.tuples(st.lists(SEGMENTS, max_size=3), st.sampled_from(["", "/", "/{rest:path}"])).map(
    lambda parts: "".join(f"/{segment}" for segment in numbered(parts[0])) + parts[1] or "/"
)
PATHS = st.lists(st.text("ab-", max_size=4), max_size=4).map(lambda segments: "/" + "/".join(segments))


def numbered(segments: list[str]) -> list[str]:
    """The variables of each segment get names of their own."""
    return [segment.replace("x}", f"x{n}}}").replace("y}", f"y{n}}}") for n, segment in enumerate(segments)]


def as_regular_expression(pattern: str) -> re.Pattern[str]:
    if pattern.endswith("/{rest:path}"):
        body, end = pattern.removesuffix("/{rest:path}"), "(?:/.*)?"
    else:
        body, end = pattern.rstrip("/"), "/*"
    return re.compile(re.sub(r"\\{.*?\\}", "[^/]+", re.escape(body)) + end, re.DOTALL)


@given(st.lists(PATTERNS, max_size=6), PATHS)
def test_the_tree_finds_what_trying_one_pattern_after_another_would(patterns: list[str], path: str) -> None:
    tree: PathTree[str] = PathTree()
    for pattern in patterns:
        read = parse(pattern, pattern, [])
        assert read is not None
        tree.add(read.form, pattern)
    found = tree.matching(path)
    assert sorted(found) == sorted(pattern for pattern in patterns if as_regular_expression(pattern).fullmatch(path))


@given(PATTERNS, PATTERNS, PATHS)
def test_covering_and_meeting_mean_what_they_say(earlier: str, later: str, path: str) -> None:
    tree: PathTree[str] = PathTree()
    first, second = parse(earlier, earlier, []), parse(later, later, [])
    assert first is not None
    assert second is not None
    tree.add(first.form, earlier)
    matches_earlier = as_regular_expression(earlier).fullmatch(path) is not None
    matches_later = as_regular_expression(later).fullmatch(path) is not None
    if tree.covering(second.form) and matches_later:
        assert matches_earlier
    if matches_earlier and matches_later:
        assert tree.meeting(second.form)


@given(st.sampled_from(["GET", "POST"]), TARGETS, st.none() | TARGETS, ROOTS)
@example("POST", "/app/LOGIN", "/app/%4cogin", "/app")
def test_the_readings_that_are_told_are_those_that_decide(
    method: str, path: str, raw_path: str | None, root_path: str
) -> None:
    head = RequestHead(method, path, raw_path, root_path)
    readings = SITE.readings(head)
    counts = {match for reading in readings for match in reading.counts}
    match SITE.match(head):
        case Rule(match=match):
            assert counts == {match}
        case None:
            assert not counts
        case Ambiguous():
            assert views_of(path, raw_path, root_path) is None or len(counts) > 1
        case Exempt():
            raise AssertionError("there is no exemption")
    for reading in readings:
        way = way_to(reading.view, path, raw_path, root_path)
        assert way[0] in ((raw_path,) if raw_path else (path, "/"))
        assert way[-1] == reading.view
