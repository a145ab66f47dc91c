"""Which requests a rule guards: methods, patterns, odd spellings, mounts, exemptions, and what is no rule at all."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caputchin_gate.errors import ConfigurationError
from caputchin_gate.messages import RequestHead
from caputchin_gate.routes import Ambiguous, Exempt, RouteTable, Rule
from caputchin_gate.routes.target_views import views_of

SITE = ("POST /login", "POST /api/comments", "POST /t/{slug}/reply", "POST /upload")


def table(*matches: str, exempt: tuple[str, ...] = ()) -> RouteTable[str]:
    return RouteTable([Rule(match, "the same") for match in matches], exempt)


def post(path: str, raw_path: str | None = None, root_path: str = "", method: str = "POST") -> RequestHead:
    return RequestHead(method, path, raw_path, root_path)


def guards(routes: RouteTable[str], head: RequestHead) -> bool:
    """What match and untouched say together; they must not contradict each other."""
    outcome = routes.match(head)
    if routes.untouched(head.path, head.raw_path, head.root_path):
        assert outcome is None
    return isinstance(outcome, (Rule, Ambiguous))


# Spellings, each of which ran a protected handler on some stack (bypasses.md 1)

AS_THE_APPLICATION_GETS_THEM = (
    "/login",
    "/login/",
    "//login",
    "///login",
    "/login\n",
    "/api/comments\n",
    "/t/x/reply\n",
    "/t/../reply",
    "/t/./reply",
    "/t/a%2fb/reply",
    "/t/%25/reply",
    "/t/a?b/reply",
    "/t/a#b/reply",
    "/t/a;b/reply",
    "/t/;x=1/reply",
    "/t/a\nb/reply",
    "/t/\n/reply",
    "/t/a\u2028b/reply",
    "/t/\ufffd/reply",
    "/t/\xff/reply",
    "/t/\udc80/reply",
    "/login#x",
    "/login#/../open",
    "/t/x#/reply",
    "login",
    "http:login",
    "/log\tin",
    "/login\x85",
    "/login\xa0",
    "/login\x0b",
    "/login\x1f",
    "/login\x00",
    "/login\x00.png",
    "/login\ufffd",
    "/lo\ufffdgin",
    "/login\xff",
    "/\x80login",
    "/t/x/re\xc3ply",
    "/log\u0131n",
    "/log\u0130n",
    "http://any.host/login",
    "https://any.host//login",
    "ftp://any.host/login",
    "http://[::1]/login",
    "http://any.host:80/t/x/reply",
    "file:///login",
    "http:///login",
    "x:/login",
    "http:/login",
    "//any.host/login",
)

ROUTED_BY_A_HOP_BEHIND = (
    "/open/../login",
    "/open/%2e%2e/login",
    "/open/..%2flogin",
    "/open%2f..%2flogin",
    "/%2e/login",
    "/./login",
    "/api//comments",
    "/open../login",
    "/login%3fx",
    "/login%00",
    "/LOGIN",
    "/Api/Comments",
    "/login;x",
    "/api;x/comments",
    "/t/;x/reply;y",
    "/%256cogin",
    "/%25256cogin",
    "/login.",
    "/login%20",
    "/login%20/",
    "\\login",
    "/api\\comments",
    "/api%5ccomments",
    "/l\uff4fgin",  # a fullwidth letter
    "/\u24dbogin",  # a circled one
    "/api\uff0fcomments",
    "/login\u200b",
    "/open\uff0f\uff0e\uff0e\uff0flogin",
    "/login/x/..%20",
    "/login/x/..\x1f",
    " /login",
    "\x1f http://any.host/login",
    "/t/\u2025/reply",
)


@pytest.mark.parametrize("path", AS_THE_APPLICATION_GETS_THEM)
def test_a_path_that_ran_a_handler_somewhere_is_guarded(path: str) -> None:
    routes = table(*SITE)
    assert guards(routes, post(path))
    assert guards(routes, post(path, raw_path="/something/else"))


@pytest.mark.parametrize("target", ROUTED_BY_A_HOP_BEHIND)
def test_a_target_that_a_hop_behind_would_normalise_to_a_guarded_one_is_guarded(target: str) -> None:
    routes = table(*SITE)
    assert guards(routes, post(target))
    assert guards(routes, post("/open", raw_path=target))


@pytest.mark.parametrize(
    "raw_path",
    [
        *("/%6cogin", "/%6Cogin", "/api%2fcomments", "/t%2fx%2freply", "/%2flogin", "%2flogin", "/t/a%252fb/reply"),
        *("/t/%ff/reply", "/t/%c3/reply", "/t/%ed%a0%80/reply", "/t/a%0ab/reply", "/login%0a", "/login%23"),
    ],
)
def test_the_target_as_sent_is_read_too(raw_path: str) -> None:
    routes = table(*SITE)
    assert guards(routes, post("/open", raw_path=raw_path))
    assert not routes.untouched("/open", raw_path.encode(), "")


@pytest.mark.parametrize("pattern", ["/caf\u00e9/{x}", "/caf%C3%A9/{x}", "/CAF\u00c9/{x}", "/cafe\u0301/{x}"])
@pytest.mark.parametrize(
    "path", ["/caf\u00e9/1", "/caf\u00c3\u00a9/1", "/caf%c3%a9/1", "/CAF\u00c9/1", "/cafe\u0301/1"]
)
def test_a_path_beyond_ascii_is_found_in_every_encoding_and_letter_case(pattern: str, path: str) -> None:
    """WSGI hands UTF-8 over as Latin-1, and a pattern may be typed decoded or not."""
    assert guards(table(f"POST {pattern}"), post(path))


def test_a_pattern_with_encoded_slashes_is_found_behind_too_many_leading_ones() -> None:
    assert guards(table("POST /a%2f%2fb"), post("//a//b"))


@pytest.mark.parametrize("pattern", ["/Login", "/LOGIN/", "/%4cogin"])
@pytest.mark.parametrize("path", ["/login", "/Login", "/LOGIN"])
def test_letter_case_of_a_pattern_does_not_matter(pattern: str, path: str) -> None:
    assert guards(table(f"POST {pattern}"), post(path))


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/open", "/log", "/loginx", "/x/login", "/login/x", "/t/reply", "/t//reply", "/t/x/y/reply"),
        *("/t/x/reply/y", "/api", "/api/comments/7", "/v1/users:login", "/static/login.js", "/.well-known/x"),
        *("/search/a%20b;c=d/e", "/caf\u00e9", "/a/../b", "/open?next=/login"),
    ],
)
def test_other_paths_pass_untouched(path: str) -> None:
    assert table(*SITE).untouched(path, path.encode(), "")


def test_a_table_without_rules_touches_nothing() -> None:
    assert table().untouched("/%25%25;..//login", None, "/app")
    assert table().untouched("/" + "%25" * 3000, None, "")


# Bounds

HOSTILE = (
    "/" + "".join(f";{n}../\\%2f" for n in range(800)),
    "/%" + "25" * 2000 + "41",
    "/%" + "25" * 150 + "41",  # many short readings
    "/" + "%25252525252541" * 700,  # few long ones
    "/" + "/ .;\t?#\\../%2e" * 500,
    "/" + ("%25" * 40 + ";x/../\\a/. ?#") * 30,
)


@pytest.mark.parametrize("target", HOSTILE, ids=range(len(HOSTILE)))
def test_a_target_with_too_many_readings_is_refused_where_a_rule_guards_its_method(target: str) -> None:
    routes = table("POST /login")
    assert views_of(target, None, "") is None
    assert not routes.untouched(target, None, "")
    assert isinstance(routes.match(post(target)), Ambiguous)
    assert routes.match(post(target, method="GET")) is None


def test_what_clients_send_does_not_pile_up() -> None:
    routes = table("POST /login")
    for number in range(10_000):
        assert routes.untouched(f"/page/{number}", None, "")
    assert routes.untouched("/" + "x" * 5000, None, "")
    assert len(routes._remembered) <= 4096
    assert all(len(path) < 512 for path, _, _ in routes._remembered)


# Patterns


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("/", ["/", ""], ["/x"]),
        ("/a", ["/a", "/a/"], ["/a/b", "/", "/ab"]),
        ("/a/", ["/a", "/a/"], ["/a/b"]),
        ("/t/{slug}/reply", ["/t/x/reply", "/t/-/reply/"], ["/t//reply", "/t/x/y/reply", "/t/x"]),
        ("/files/{name}.json", ["/files/a.json", "/files/a.b.json"], ["/files/.json", "/files/a.jsonx", "/files/a"]),
        ("/@{user}", ["/@a", "/@a@b"], ["/@", "/a", "/@a/b"]),
        ("/{a}-{b}-{c}", ["/1-2-3", "/1-2-3-4", "/---1-2"], ["/1-2", "/--", "/-1-2", "/1--"]),
        ("/v{a}{b}", ["/v12", "/v123"], ["/v", "/v1"]),
        ("/x{a}aa{b}y", ["/x1aa2y", "/xaaaay"], ["/xaay", "/xaaay", "/xaa2y"]),
        ("/files/{rest:path}", ["/files", "/files/", "/files/a", "/files/a/b\nc"], ["/file", "/filesx", "/x/files"]),
        ("/{rest:path}", ["/", "/a", "/a/b"], []),
        ("/{tenant}/{rest:path}", ["/a", "/a/b/c"], ["/"]),
        ("/a.b+c", ["/a.b+c"], ["/aXb+c", "/a.bc"]),
        ("/a;b", ["/a;b"], ["/a"]),
    ],
)
def test_a_pattern_means_what_it_says(pattern: str, matching: list[str], others: list[str]) -> None:
    routes = table(f"POST {pattern}")
    assert [path for path in matching if not guards(routes, post(path))] == []
    assert [path for path in others if guards(routes, post(path))] == []


# Methods (threats.md R14, D1)


@pytest.mark.parametrize(
    ("match", "guarded", "open_"),
    [
        ("POST /x", "POST post Post", "GET HEAD OPTIONS PUT FOO"),
        ("post /x", "POST post", "GET"),
        ("POST|PUT /x", "POST PUT", "PATCH DELETE GET"),
        ("PUT /x", "PUT POST", "PATCH GET"),
        ("DELETE /x", "DELETE POST", "PUT GET"),
        ("GET /x", "GET HEAD", "POST OPTIONS"),
        ("HEAD /x", "HEAD", "GET POST"),
        ("/x", "POST PUT PATCH DELETE FOO TRACE propfind", "GET HEAD OPTIONS get options"),
        ("* /x", "GET HEAD OPTIONS POST PUT FOO CONNECT", ""),
        ("OPTIONS /x", "OPTIONS", "POST GET"),
    ],
)
def test_a_rule_guards_its_methods_and_no_others(match: str, guarded: str, open_: str) -> None:
    routes = table(match)
    assert [method for method in guarded.split() if not guards(routes, post("/x", method=method))] == []
    assert [method for method in open_.split() if guards(routes, post("/x", method=method))] == []


def test_blanks_around_a_method_hide_nothing() -> None:
    assert guards(table("POST /x"), post("/x", method=" POST\t"))


def test_post_is_open_beside_put_when_the_rule_says_that_forms_override_nothing() -> None:
    routes = RouteTable([Rule("PUT /x", "terms", method_override=False)])
    assert not guards(routes, post("/x"))
    assert guards(routes, post("/x", method="PUT"))


# Headers and query; {} is the method that an application may take the request for
OVERRIDES: tuple[tuple[dict[str, list[str]], str], ...] = (
    ({"x-http-method-override": ["{}"]}, ""),
    ({"x-http-method": [" {} "]}, ""),
    ({"x-method-override": ["{}"]}, ""),
    ({"x_http_method_override": ["{}"]}, ""),
    ({"x-http-method-override": ["HEAD", "{}"]}, ""),
    ({"x-http-method-override": ["HEAD,{}"]}, ""),
    ({"x-http-method": ["HEAD"], "x-method-override": ["{}"]}, ""),
    ({}, "_method={}"),
    ({}, "a=b&_method={}+"),
    ({}, "%5fm%65thod={}"),
    ({}, "_method=HEAD&_method={}"),
    ({}, "a;_method={}"),
    ({}, "_METHOD={}"),
)


def overriding(override: tuple[dict[str, list[str]], str], word: str, path: str, method: str) -> RequestHead:
    headers, query = override
    spelled = {name: [value.format(word) for value in values] for name, values in headers.items()}
    return RequestHead(method, path, query=query.format(word), headers=spelled)


@pytest.mark.parametrize("word", ["POST", "post"])
@pytest.mark.parametrize("override", OVERRIDES, ids=str)
def test_a_request_that_may_become_a_guarded_one_is_guarded(
    override: tuple[dict[str, list[str]], str], word: str
) -> None:
    routes = table("POST /x")
    assert guards(routes, overriding(override, word, path="/x", method="GET"))
    assert not guards(routes, overriding(override, word, path="/y", method="GET"))
    assert not guards(routes, overriding(override, "PUT", path="/x", method="GET"))


@pytest.mark.parametrize("override", OVERRIDES, ids=str)
def test_an_override_never_takes_protection_away(override: tuple[dict[str, list[str]], str]) -> None:
    assert guards(table("POST /x"), overriding(override, "GET", path="/x", method="POST"))


# Several rules (threats.md R16)


def test_the_first_matching_rule_counts() -> None:
    routes = RouteTable([Rule("POST /a/b", "strict"), Rule("POST /a/{x}", "mild"), Rule("/{rest:path}", "any")])
    found = [routes.match(post(path)) for path in ("/a/b", "/a/c", "/z")]
    assert [rule.terms for rule in found if isinstance(rule, Rule)] == ["strict", "mild", "any"]


@pytest.mark.parametrize("path", ["/a/b;x", "/a/B", "/mild/../a/b", "/a/b%2f..%2fb", "/a//b", "/a/%62"])
def test_a_target_whose_readings_ask_for_different_things_is_ambiguous(path: str) -> None:
    routes = RouteTable([Rule("POST /a/b", "strict"), Rule("POST /a/{x}", "mild"), Rule("POST /{rest:path}", "mild")])
    assert isinstance(routes.match(post(path)), Ambiguous)


def test_readings_that_ask_for_the_same_are_not_ambiguous() -> None:
    routes = RouteTable([Rule("POST /a/b", "same"), Rule("POST /a/{x}", "same")])
    assert routes.match(post("/a/b;x")) == Rule("POST /a/b", "same")


PARTS = ("_method", "%5Fmethod", "%5f%6d%65T%48%4Fd", "_m", "=", "PUT", "%50ut", "&", ";", "%26", "+", "%20", "%", "a")


@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
def test_an_override_in_a_query_is_found_in_every_spelling_and_nowhere_else(query: str) -> None:
    pairs = [pair.partition("=") for pair in re.split("[&;]", query)]
    overrides = {unquote_plus(value) for name, _, value in pairs if unquote_plus(name).strip().lower() == "_method"}
    overridden = any(value.strip().upper() == "PUT" for value in overrides)
    routes = RouteTable([Rule("PUT /x", "terms", method_override=False)])
    assert guards(routes, RequestHead("GET", "/x", query=query)) == overridden


@pytest.mark.parametrize(
    "query",
    ["_method&" * 1000, "a_method=1&" * 1000, "%20" * 100 + "_method=GET", "_method=" + "%20" * 100, "a=b&" * 20_000],
    ids=lambda query: query[:12],
)
def test_more_overrides_than_are_read_count_as_overrides_to_every_method(query: str) -> None:
    routes = RouteTable([Rule("PUT /x", "terms", method_override=False)])
    assert guards(routes, RequestHead("GET", "/x", query=query))
    assert not guards(routes, RequestHead("GET", "/y", query=query))


def test_a_long_query_without_overrides_is_no_override() -> None:
    query = "text=" + "%C3%A4" * 10_000 + "&payment_method=card"
    assert not guards(table("POST /x"), RequestHead("GET", "/x", query=query))


def test_an_override_between_rules_of_different_terms_is_ambiguous() -> None:
    routes = RouteTable([Rule("POST /x", "mild"), Rule("PUT /x", "strict")])
    head = RequestHead("POST", "/x", headers={"x-http-method-override": ["PUT"]})
    assert isinstance(routes.match(head), Ambiguous)
    assert routes.match(post("/x")) == Rule("POST /x", "mild")


OWN = Rule("* /.caputchin/{rest:path}", "own", own=True)


@pytest.mark.parametrize("rules", [(OWN, Rule("* /{rest:path}", "site")), (Rule("* /{rest:path}", "site"), OWN)])
def test_no_rule_locks_the_paths_of_the_gate_itself(rules: tuple[Rule[str], ...]) -> None:
    routes = RouteTable(rules)
    assert routes.match(post("/.caputchin/challenge", method="GET")) == OWN
    assert routes.match(post("/app/.caputchin/challenge", root_path="/app")) == OWN
    assert isinstance(routes.match(post("/.caputchin/../login")), Ambiguous)
    assert isinstance(routes.match(post("/.caputchin/..%2flogin")), Ambiguous)


def test_the_paths_of_the_gate_itself_can_not_be_exempted() -> None:
    routes = RouteTable([OWN], exempt=["* /.caputchin/{rest:path}"])
    assert routes.match(post("/.caputchin/challenge")) == OWN


# Exemptions


@pytest.mark.parametrize(
    ("path", "exempt"),
    [
        ("/webhooks/stripe", True),
        ("/webhooks/Stripe", True),
        ("/webhooks/a.b", True),
        ("/webhooks/v1:run", True),
        ("/webhooks/stripe/", False),
        ("/Webhooks/stripe", False),
        ("//webhooks/stripe", False),
        ("/webhooks/str%69pe", False),
        ("/webhooks/..", False),
        ("/webhooks/../login", False),
        ("/webhooks/x;/../../login", False),
        ("/webhooks/stripe\n", False),
        ("/login/../webhooks/stripe", False),
        ("http://any.host/webhooks/stripe", False),
    ],
)
def test_an_exemption_counts_only_in_its_plain_spelling(path: str, exempt: bool) -> None:
    routes = table("* /{rest:path}", exempt=("POST /webhooks/{name}",))
    expected = Exempt("POST /webhooks/{name}") if exempt else Rule("* /{rest:path}", "the same")
    assert routes.match(post(path)) == expected


@pytest.mark.parametrize(
    "head",
    [
        post("/webhooks/stripe", method="PUT"),
        post("/webhooks/stripe", raw_path="/login"),
        post("/webhooks/stripe", raw_path="/webhooks/%73tripe"),
        post("/login", root_path="/webhooks"),
        post("/x/login", root_path="/webhooks"),
        RequestHead("POST", "/webhooks/stripe", headers={"x-http-method-override": ["DELETE"]}),
    ],
)
def test_nothing_in_a_request_widens_an_exemption(head: RequestHead) -> None:
    routes = table("* /{rest:path}", exempt=("POST /webhooks/{name}",))
    assert routes.match(head) == Rule("* /{rest:path}", "the same")


def test_an_exemption_takes_out_what_a_rule_of_the_same_mount_guards() -> None:
    routes = table("POST /app/{rest:path}", exempt=("POST /app/webhooks/{name}",))
    assert routes.match(post("/webhooks/x", root_path="/app")) == Exempt("POST /app/webhooks/{name}")
    assert routes.match(post("/app/webhooks/x", root_path="/app")) == Exempt("POST /app/webhooks/{name}")


# Mounts (threats.md R24)


@pytest.mark.parametrize("match", ["POST /login", "POST /app/login", "POST /app/app/login"])
@pytest.mark.parametrize("root_path", ["/app", "/app/", "/%61pp", "app"])
@pytest.mark.parametrize("path", ["/app/login", "/app//login", "/app/./login", "/app/login\n"])
def test_a_rule_guards_with_and_without_the_mount_prefix(match: str, root_path: str, path: str) -> None:
    assert guards(table(match), post(path, root_path=root_path))


@pytest.mark.parametrize(
    "path",
    [
        *("/login", "//login", "/applogin", "/apphttp://any.host/login", "/apphttp:login", "/app//any.host/login"),
        *("login", "/app/login#x", "http://any.host/login"),
    ],
)
def test_what_servers_glue_behind_a_mount_prefix_is_guarded(path: str) -> None:
    assert guards(table("POST /login"), post(path, root_path="/app"))
    assert guards(table("POST /app/login"), post(path, root_path="/app"))


@pytest.mark.parametrize("root_path", ["/other", "/log", "/login", "/", "//", "/\u00e9", "%", "/app;x", "/ap\xff", "x"])
def test_a_mount_that_is_no_prefix_takes_nothing_away(root_path: str) -> None:
    assert guards(table("POST /login"), post("/login", root_path=root_path))


def test_a_mount_named_by_a_client_costs_no_protection_however_odd() -> None:
    assert guards(table("POST /login"), post("/login", root_path=HOSTILE[0]))


def test_a_catch_all_under_a_mount_leaves_honest_targets_unambiguous() -> None:
    routes = RouteTable([Rule("POST /app/login", "strict"), Rule("POST /app/{rest:path}", "mild")])
    for path in ("/login", "/app/login"):
        assert routes.match(post(path, root_path="/app")) == Rule("POST /app/login", "strict")


def test_rules_for_both_names_of_a_mounted_path_must_ask_for_the_same() -> None:
    routes = RouteTable([Rule("POST /app/login", "strict"), Rule("POST /{rest:path}", "mild")])
    for path in ("/login", "/app/login"):
        assert isinstance(routes.match(post(path, root_path="/app")), Ambiguous)


# Mistakes


@pytest.mark.parametrize(
    ("match", "fault"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("POST", "has no path"),
        ("login", "does not begin with a slash"),
        ("POST login", "does not begin with a slash"),
        ("POTS /login", "did you mean 'POST'?"),
        ("POST| /login", "unknown method ''"),
        ("P(ST /login", "unknown method 'P(ST'"),
        ("POST /login # the form", "can't stand in a path"),
        ("POST /login?next=x", "'?' can't stand in a path"),
        ("POST /a%00", "%00"),
        ("POST /a//b", "empty or a dot segment"),
        ("POST /a/../b", "empty or a dot segment"),
        ("POST /t/{slug", "braces"),
        ("POST /t/slug}", "braces"),
        ("POST /t/{{slug}}", "braces"),
        ("POST /t/{}", "no name of a variable"),
        ("POST /t/{my-slug}", "no name of a variable"),
        ("POST /t/{a}/{a}", "'a' occurs twice"),
        ("POST /t/{a}/{a:path}", "'a' occurs twice"),
        ("POST /t/{a:path}/b", "not the whole last segment"),
        ("POST /t/x{a:path}", "not the whole last segment"),
        ("POST /t/{a:int}", "unknown converter 'int'"),
        ("POST /t/<slug>", "write {name}"),
    ],
)
def test_a_rule_that_can_not_be_read_is_reported(match: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        table(match)
    assert fault in str(caught.value)
    with pytest.raises(ConfigurationError):
        table("* /{rest:path}", exempt=(match,))


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        table("POST login", "POTS /t/{a}/{a", "POST /x", "POST /x", exempt=("POST /y", "z"))
    settings = [problem.setting for problem in caught.value.problems]
    assert settings == ["POST login", "POTS /t/{a}/{a", "POTS /t/{a}/{a", "POST /x", "POST /y", "z"]


@pytest.mark.parametrize(
    "matches",
    [
        ("POST /x", "POST /x"),
        ("POST /x", "POST /x/"),
        ("/x", "POST /x"),
        ("* /x", "/x"),
        ("POST|PUT /x", "PUT /x"),
        ("POST /x", "PUT /x", "POST|PUT /x"),
        ("POST /t/{a}/reply", "POST /t/{b}/reply"),
        ("POST /t/{a}/reply", "POST /t/me/reply"),
        ("POST /{a}", "POST /@{user}"),
        ("POST /{a}.json", "POST /me.json"),
        ("POST /a{x}z", "POST /ab{x}-{y}yz"),
        ("POST /a/{rest:path}", "POST /a/b/{c}"),
        ("POST /a/{rest:path}", "POST /a"),
        ("POST /a/{rest:path}", "POST /a/b/{rest:path}"),
        ("/{rest:path}", "POST /a"),
        ("POST /Login", "POST /login"),
        ("POST /a%62", "POST /ab"),
    ],
)
def test_a_rule_that_earlier_rules_leave_nothing_is_reported(matches: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        table(*matches)
    (problem,) = caught.value.problems
    assert problem.setting == matches[-1]
    assert "can never match" in problem.what


@pytest.mark.parametrize(
    "matches",
    [
        ("POST /t/me/reply", "POST /t/{a}/reply"),
        ("POST /x", "/x"),
        ("/x", "* /x"),
        ("PUT /x", "POST /x"),
        ("GET /x", "HEAD /x"),
        ("POST /@{user}", "POST /{a}"),
        ("POST /{a}.json", "POST /{a}.xml"),
        ("POST /a{x}", "POST /{x}"),
        ("POST /a/b/{c}", "POST /a/{rest:path}"),
        ("POST /a/{b}", "POST /a/{rest:path}"),
    ],
)
def test_rules_that_overlap_in_part_are_no_mistake(matches: tuple[str, ...]) -> None:
    assert guards(table(*matches), post("/no/rule/guards/this/path")) is False


def test_a_rule_whose_method_an_earlier_one_takes_along_is_reported_when_it_asks_for_something_else() -> None:
    with pytest.raises(ConfigurationError, match="method_override"):
        RouteTable([Rule("PUT /x", "one"), Rule("POST /x", "other")])
    assert RouteTable([Rule("PUT /x", "one", method_override=False), Rule("POST /x", "other")])


@pytest.mark.parametrize(
    ("rule", "exempt"),
    [
        ("POST /a", "POST /b"),
        ("POST /a", "GET /a"),
        ("/a", "OPTIONS /a"),
        ("POST /a/{x}", "POST /a/b/c"),
        ("POST /a/{x}.json", "POST /a/{x}.xml"),
        ("POST /a/index.xml", "POST /a/{x}.json"),
        ("POST /a/b.xml", "POST /a/c{x}.xml"),
        ("POST /a/b", "POST /b/{rest:path}"),
    ],
)
def test_an_exemption_from_no_rule_is_reported(rule: str, exempt: str) -> None:
    with pytest.raises(ConfigurationError, match="exempts nothing"):
        table(rule, exempt=(exempt,))


@pytest.mark.parametrize(
    ("rule", "exempt"),
    [
        ("POST /a/{x}", "POST /a/b"),
        ("POST /a/b", "POST /a/{x}"),
        ("/a/{x}.json", "PUT /a/b{x}"),
        ("POST /a/b/c", "POST /a/{rest:path}"),
        ("POST /a/{rest:path}", "POST /a/b/c"),
        ("POST /a/{x}/{rest:path}", "/{rest:path}"),
    ],
)
def test_an_exemption_may_meet_a_rule_in_part(rule: str, exempt: str) -> None:
    assert table(rule, exempt=(exempt,))


def test_an_exemption_that_no_plain_target_can_match_is_reported() -> None:
    with pytest.raises(ConfigurationError, match="can never match"):
        table("* /{rest:path}", exempt=("POST /hooks/a%20b",))


# Scale (budgets.md)


def test_ten_thousand_rules_are_told_apart() -> None:
    routes = RouteTable([Rule(f"POST /area{n % 100}/{{slug}}/thing{n}.{{ext}}", n) for n in range(10_000)])
    found = routes.match(post("/area77/x/thing4277.json"))
    assert isinstance(found, Rule)
    assert found.terms == 4277
    assert routes.untouched("/area77/x/thing4278.json", None, "")
