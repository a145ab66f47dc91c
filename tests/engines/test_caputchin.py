"""Caputchin's sessions and wrapped tokens: caputchin.md 4 and 6.11, threats.md R8, R10, R32, R33.

`forge_session` and `forge_wrapped` make them with the signing key in hand, from the description alone: what only the
gate's own key could make and is refused all the same shows that the check does not rest on the MAC alone.
"""

from __future__ import annotations

import base64
import hmac
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caputchin_gate.engines import LONGEST_SITE_KEY, Binding, Solved
from caputchin_gate.engines.cap import CapChallenges, Redeemed, Refusal
from caputchin_gate.engines.cap_work import Work
from caputchin_gate.engines.caputchin import CaputchinSessions, EitherToken
from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.engines.rsw import TimeLock
from caputchin_gate.engines.solver import solve, solve_cap
from caputchin_gate.verdict import Failed, Reason
from tests.memory import traced

KEY, OTHER_KEY, NEW_KEY = b"k" * 32, b"o" * 32, b"n" * 32
NOW = 1_800_000_000
NONCE = bytes(range(16))
HOME, AWAY = "203.0.113.9", "198.51.100.7"
EASY = Work(puzzles=3, difficulty=1)

FORGED = Failed(Reason.TOKEN_REJECTED, ("invalid_token",))
MALFORMED = Failed(Reason.TOKEN_MALFORMED, ("invalid-input-response",))
EXPIRED = Failed(Reason.TOKEN_EXPIRED, ("timeout-or-duplicate",))
ELSEWHERE = Failed(Reason.TOKEN_ELSEWHERE, ("invalid-input-response",))


def engine(
    *keys: bytes, site_key: str = "cpt_pub_site", binding: Binding = "if-known", work: Work = EASY, lifetime: int = 600
) -> CaputchinSessions:
    lock = TimeLock(b"s" * 32, work.squarings, bits=256) if work.squarings else None
    return CaputchinSessions(
        keys or (KEY,), site_key=site_key, binding=binding, work=work, challenge_lifetime=lifetime, time_lock=lock
    )


def started(
    sessions: CaputchinSessions,
    *,
    now: float = NOW,
    nonce: bytes = NONCE,
    client: str | None = None,
    host: str = "shop.example",
) -> tuple[str, str, list[Any]]:
    """A session id, its challenge, and the solutions."""
    session_id, challenge = sessions.start(now=now, nonce=nonce, client=client, host=host)
    asked = challenge.work
    sent = {"challenge": {"c": asked.puzzles, "s": asked.salt_length, "d": asked.difficulty}, "token": challenge.token}
    return session_id, challenge.token, solve_cap(sent)


def wrapped(sessions: CaputchinSessions, **more: Any) -> str:
    session_id, token, solutions = started(sessions, **more)
    assert isinstance(sessions.redeem(session_id, token, solutions, now=NOW), Redeemed)
    return sessions.wrap(session_id, now=NOW).text


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def members_of(token: str) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    return members


def spelt(members: object) -> str:
    return encoded(json.dumps(members, separators=(",", ":")).encode())


def mac(purpose: bytes, message: bytes, key: bytes = KEY) -> bytes:
    return hmac.digest(hmac.digest(key, b"caputchin-gate " + purpose, "sha256"), message, "sha256")


def forge_session(
    *, issued_at: int = NOW, tag: bytes = bytes(8), host: bytes = b"shop.example", site: bytes = b"cpt_pub_site"
) -> str:
    body = struct.pack(">I8s16s", issued_at, tag, NONCE) + host
    return encoded(body + mac(b"caputchin session", struct.pack(">I", len(site)) + site + body)[:16])


def forge_wrapped(*, key: bytes = KEY, signed: dict[str, Any] | None = None, **changed: Any) -> str:
    """A token whose signature says what `signed` says, and that itself says what is `changed`."""
    values = {
        "v": 1,
        "k": "cpt_pub_site",
        "s": forge_session(),
        "t": encoded(NONCE),
        "x": (NOW + 600) * 1000,
    }
    message = "".join(f"{value}\n" for value in {**values, **changed, **(signed or {})}.values())
    return spelt({**values, **changed, "h": encoded(mac(b"caputchin wrapped token", message.encode(), key))})


def check(token: str, sessions: CaputchinSessions | None = None, **more: Any) -> Solved | Failed:
    return (sessions or engine()).check(token, **{"now": NOW + 5, "client": None, **more})


# What is issued and accepted


def test_a_session_that_is_passed_gives_a_token_that_passes() -> None:
    sessions = engine()
    session_id, token, solutions = started(sessions)
    assert sessions.lives(session_id, now=NOW + 300, client=None)
    judged = sessions.redeem(session_id, token, solutions, now=NOW + 300)
    assert isinstance(judged, Redeemed)
    made = sessions.wrap(session_id, now=NOW + 300.9)
    passed = check(made.text, sessions, now=NOW + 800)
    assert isinstance(passed, Solved)
    assert (passed.site_key, passed.issued_at, passed.hostname) == ("cpt_pub_site", NOW + 300, "shop.example")
    assert passed.claim_key != judged.claim_key
    assert len(passed.claim_key) == 16
    assert passed.until >= NOW + 900 + 2 * 30  # threats.md R33
    assert made.expires == (NOW + 900) * 1000


def test_a_wrapped_token_is_what_the_page_says() -> None:
    token = wrapped(engine(), host="")
    members = members_of(token)
    assert list(members) == ["v", "k", "s", "t", "x", "h"]
    assert (members["v"], members["k"], members["x"]) == (1, "cpt_pub_site", (NOW + 600) * 1000)
    assert len(base64.urlsafe_b64decode(members["t"] + "==")) == 16
    message = f"1\ncpt_pub_site\n{members['s']}\n{members['t']}\n{members['x']}\n".encode()
    assert members["h"] == encoded(mac(b"caputchin wrapped token", message))
    assert "=" not in token
    assert len(token) < 4096


def test_what_is_forged_here_with_the_right_key_is_what_is_issued() -> None:
    """Else the refusals of forged tokens below would prove nothing."""
    assert forge_session() == engine().start(now=NOW, nonce=NONCE, client=None, host="shop.example")[0]
    assert forge_wrapped() == wrapped(engine())
    assert isinstance(check(forge_wrapped()), Solved)


def test_the_longest_token_that_can_be_issued_is_read() -> None:
    sessions = engine(site_key="\U0001f512" * (LONGEST_SITE_KEY // 2) + "\x00" * (LONGEST_SITE_KEY // 2))
    token = wrapped(sessions, host="a" * 253)
    assert len(token) <= 4096
    assert isinstance(check(token, sessions), Solved)


@pytest.mark.parametrize("host", ["", "a" * 254, "shop.example\n", "shop example", "b\u00fccher.example", '"><script>'])
def test_what_is_no_name_of_a_host_counts_as_not_known(host: str) -> None:
    passed = check(wrapped(engine(), host=host))
    assert isinstance(passed, Solved)
    assert passed.hostname is None


def test_every_session_has_a_challenge_and_a_token_of_its_own() -> None:
    sessions = engine()
    all_started = [started(sessions, nonce=bytes([n]) * 16) for n in range(20)]
    assert len({session_id for session_id, _, _ in all_started}) == 20
    assert len({token for _, token, _ in all_started}) == 20
    handles = {members_of(sessions.wrap(session_id, now=NOW).text)["t"] for session_id, _, _ in all_started}
    assert len(handles) == 20


def test_tokens_of_two_sessions_are_two_to_claim() -> None:
    judged = [check(wrapped(engine(), nonce=nonce)) for nonce in (NONCE, b"x" * 16)]
    assert len({each.claim_key for each in judged if isinstance(each, Solved)}) == 2


def test_a_session_that_is_passed_twice_gives_one_token_to_claim() -> None:
    """Should the store forget that its challenge was redeemed, the form still passes once."""
    sessions = engine()
    session_id, _, _ = started(sessions)
    tokens = [sessions.wrap(session_id, now=NOW + later).text for later in (0, 7)]
    passed = [check(token, sessions, now=NOW + 8) for token in tokens]
    assert tokens[0] != tokens[1]
    assert len({each.claim_key for each in passed if isinstance(each, Solved)}) == 1


def test_during_a_rotation_the_first_key_signs_and_all_verify() -> None:
    old, both = engine(KEY, binding="require"), engine(NEW_KEY, KEY, binding="require")
    session_id, token, solutions = started(old, client=HOME)
    assert both.lives(session_id, now=NOW, client=HOME)
    assert not both.lives(session_id, now=NOW, client=AWAY)
    assert isinstance(both.redeem(session_id, token, solutions, now=NOW), Redeemed)
    # The session is of the old key, its token of the new one.
    assert isinstance(check(both.wrap(session_id, now=NOW).text, both, client=HOME), Solved)
    assert isinstance(check(old.wrap(session_id, now=NOW).text, both, client=HOME), Solved)
    assert check(old.wrap(session_id, now=NOW).text, engine(OTHER_KEY)) == FORGED
    assert not engine(OTHER_KEY).lives(session_id, now=NOW, client=HOME)


def test_a_flood_of_sessions_that_nobody_passes_leaves_nothing() -> None:
    sessions = engine()
    with traced() as held:
        for number in range(100):  # what is made once is made
            sessions.start(now=NOW, nonce=number.to_bytes(16), client=HOME, host="shop.example")
        before = held()
        for number in range(20_000):
            sessions.start(now=NOW, nonce=number.to_bytes(16), client=f"203.0.113.{number}", host=f"{number}.example")
        assert held() - before < 10_000


# The challenge belongs to its session


def test_a_challenge_is_redeemed_with_the_session_it_was_issued_with_alone() -> None:
    sessions = engine()
    session_id, token, solutions = started(sessions)
    other_id, _, _ = started(sessions, nonce=b"x" * 16)
    for presented in (other_id, session_id[:-1], session_id + "A", "", "x"):
        assert sessions.redeem(presented, token, solutions, now=NOW) is Refusal.INVALID_TOKEN
    assert isinstance(sessions.redeem(session_id, token, solutions, now=NOW), Redeemed)


@pytest.mark.parametrize("work", [EASY, Work(format=2, puzzles=1, difficulty=1, squarings=20)], ids=repr)
def test_challenges_and_tokens_of_cap_and_of_caputchin_are_not_taken_for_each_other(work: Work) -> None:
    """Else one solution would let a submission in by each of the two protocols."""
    lock = TimeLock(b"s" * 32, work.squarings, bits=256) if work.squarings else None
    cap = CapChallenges([KEY], site_key="cpt_pub_site", work=work, time_lock=lock)
    sessions = engine(work=work)
    session_id, of_session = sessions.start(now=NOW, nonce=NONCE, client=None, host="")
    of_cap = cap.issue(now=NOW, nonce=NONCE, client=None)
    answers: list[Any] = [0] * work.puzzles
    assert cap.redeem(of_session.token, answers, now=NOW, client=None) is Refusal.INVALID_TOKEN
    scope = session_id.encode()
    assert cap.redeem(of_session.token, answers, now=NOW, client=None, scope=scope) is Refusal.INVALID_TOKEN
    assert sessions.redeem(session_id, of_cap.token, answers, now=NOW) is Refusal.INVALID_TOKEN
    if work is EASY:
        judged = sessions.redeem(*started(sessions), now=NOW)
        assert isinstance(judged, Redeemed)
        assert cap.check(judged.token, now=NOW, client=None) == FORGED


def test_a_scoped_challenge_is_no_other_challenge_with_another_scope() -> None:
    """What is signed must tell where the scope begins: bytes of the one can't be moved into the other.

    A challenge with the answer to squarings is 18 bytes longer. Were body and scope signed as they follow, those could
    come from the scope of a challenge without one.
    """
    cap = CapChallenges([KEY], site_key="site", work=EASY)
    moved = b"an answer's length"
    assert len(moved) == 18
    sent = base64.urlsafe_b64decode(cap.issue(now=NOW, nonce=NONCE, client=None, scope=moved + b"rest").token)
    spliced = encoded(sent[:-16] + moved + sent[-16:])
    solutions = solve_cap({"challenge": {"c": 3, "s": 32, "d": 1}, "token": spliced})
    for scope in (b"rest", moved + b"rest", b""):
        assert cap.redeem(spliced, solutions, now=NOW, client=None, scope=scope) is Refusal.INVALID_TOKEN


def test_work_that_was_lowered_since_does_not_count() -> None:
    session_id, token, solutions = started(engine(work=Work(puzzles=2, difficulty=1)))
    assert engine().redeem(session_id, token, solutions, now=NOW) is Refusal.INVALID_TOKEN


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda solutions: [], Refusal.INVALID_SOLUTIONS),
        (lambda solutions: solutions[:-1], Refusal.INVALID_SOLUTIONS),
        (lambda solutions: [str(one) for one in solutions], Refusal.INVALID_SOLUTIONS),
        (lambda solutions: [True, *solutions[1:]], Refusal.INVALID_SOLUTIONS),
        (lambda solutions: [one + 1 for one in solutions], Refusal.INVALID_SOLUTION),
    ],
)
def test_wrong_work_is_refused(change: Any, refusal: Refusal) -> None:
    session_id, token, solutions = started(engine())
    assert engine().redeem(session_id, token, change(solutions), now=NOW) is refusal


def test_a_challenge_expires_by_its_own_time() -> None:
    session_id, token, solutions = started(engine(lifetime=300))
    assert isinstance(engine().redeem(session_id, token, solutions, now=NOW + 300), Redeemed)
    assert engine().redeem(session_id, token, solutions, now=NOW + 301) is Refusal.EXPIRED


# Sessions that don't live


@pytest.mark.parametrize(
    ("now", "lives"), [(NOW - 31, False), (NOW - 30, True), (NOW + 900, True), (NOW + 901, False), (0, False)]
)
def test_a_session_lives_for_a_quarter_of_an_hour(now: float, lives: bool) -> None:
    assert engine().lives(started(engine())[0], now=now, client=None) is lives


@pytest.mark.parametrize(
    "session_id",
    [
        "",
        "x",
        "A" * 59,
        "A" * 400,
        "A" * 401,
        "A" * 10_000,
        "c2Vzc2lvbi0x",
        forge_session(site=b"other"),
        "\ud800" * 70,
    ],
)
def test_what_is_no_session_of_this_site_does_not_live(session_id: str) -> None:
    assert not engine().lives(session_id, now=NOW, client=None)
    with pytest.raises(ValueError, match="session"):
        engine().wrap(session_id, now=NOW)


@pytest.mark.parametrize("place", range(len(forge_session())))
def test_no_character_of_a_session_can_be_changed(place: int) -> None:
    """But for the spare bits of the last one, which the challenge is bound to all the same."""
    session_id, token, solutions = started(engine())
    changed = session_id[:place] + ("A" if session_id[place] != "A" else "Z") + session_id[place + 1 :]
    assert not engine().lives(changed, now=NOW, client=None)
    assert engine().redeem(changed, token, solutions, now=NOW) is Refusal.INVALID_TOKEN


@pytest.mark.parametrize(
    ("binding", "asked", "came", "admitted"),
    [
        ("if-known", HOME, HOME, True),
        ("if-known", HOME, AWAY, False),
        ("if-known", HOME, None, True),
        ("if-known", None, AWAY, True),
        ("off", HOME, AWAY, True),
        ("require", HOME, HOME, True),
        ("require", HOME, AWAY, False),
        ("require", HOME, None, False),
        ("require", None, HOME, False),
    ],
)
def test_who_may_pass_a_session_and_bring_its_token(
    binding: Binding, asked: str | None, came: str | None, admitted: bool
) -> None:
    sessions = engine(binding=binding)
    session_id, _, _ = started(sessions, client=asked)
    assert sessions.lives(session_id, now=NOW, client=came) is admitted
    passed = check(sessions.wrap(session_id, now=NOW).text, sessions, client=came)
    assert isinstance(passed, Solved) if admitted else passed == ELSEWHERE


def test_no_token_shows_the_client_it_is_bound_to() -> None:
    session_id = members_of(wrapped(engine(), client=HOME))["s"]
    signed = base64.urlsafe_b64decode(session_id + "=" * (-len(session_id) % 4))
    assert signed[4:12] == mac(b"caputchin session's client", HOME.encode())[:8]


# Wrapped tokens that are refused


RIGHT = members_of(forge_wrapped())
WRONG_VALUES: list[Any] = [None, True, 1.5, [], {}, "", 0, -1, 10**400, "\ud800"]


@pytest.mark.parametrize("missing", RIGHT)
def test_a_token_without_one_of_its_members_is_malformed(missing: str) -> None:
    assert check(spelt({name: value for name, value in RIGHT.items() if name != missing})) == MALFORMED


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("value", WRONG_VALUES, ids=[repr(value)[:12] for value in WRONG_VALUES])
def test_a_member_of_a_wrong_type_or_shape_is_refused(name: str, value: Any) -> None:
    judged = check(spelt({**RIGHT, name: value}))
    right_shape = (name == "k" and isinstance(value, str)) or (name == "x" and value == 0 and value is not False)
    assert judged == (FORGED if right_shape else MALFORMED)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "=",
        "===",
        "A",
        "not a token",
        "A" * 4097,
        "A" * 100_000,
        forge_wrapped() + "!",
        forge_wrapped() + ".1",
        forge_wrapped() + "\n",
        " " + forge_wrapped(),
        forge_wrapped()[:-40],
        forge_wrapped() + "A" * 5,
        forge_wrapped()[:50] + "=" + forge_wrapped()[50:],
        forge_wrapped()[:50] + "+/" + forge_wrapped()[52:],
        forge_wrapped()[:50] + "\u00e9" + forge_wrapped()[51:],
        spelt(list(RIGHT.items())),
        spelt("text"),
        spelt(None),
        spelt([RIGHT]),
        spelt({**RIGHT, "more": 1}),
        spelt({**RIGHT, "v": 2}),
        spelt({**RIGHT, "v": "1"}),
        spelt({**RIGHT, "v": 1.0}),
        spelt({**RIGHT, "x": float(RIGHT["x"])}),
        spelt({**RIGHT, "x": str(RIGHT["x"])}),
        spelt({**RIGHT, "x": 2**53}),
        spelt({**RIGHT, "t": RIGHT["t"] + "A"}),
        spelt({**RIGHT, "t": RIGHT["t"][:-1] + "="}),
        spelt({**RIGHT, "s": RIGHT["s"] + "\n"}),
        spelt({**RIGHT, "h": "\u00e9" * 43}),
        encoded(b"\xff" + json.dumps(RIGHT).encode()),
        encoded(b"\xef\xbb\xbf" + json.dumps(RIGHT).encode()),
        encoded(json.dumps(RIGHT).encode("utf-16")),
        encoded(b"[" * 3000),
        encoded(b'{"v":' * 500),
        encoded(b'{"x":' + b"9" * 3000 + b"}"),
        encoded(b'{"v":NaN}'),
    ],
    ids=lambda token: f"{len(token)}",
)
def test_what_is_no_token_is_malformed(token: str) -> None:
    assert check(token) == MALFORMED


@pytest.mark.parametrize("name", RIGHT)
def test_a_member_that_stands_twice_is_malformed_whichever_is_right(name: str) -> None:
    for first, second in ((RIGHT[name], RIGHT[name]), (RIGHT[name], "other"), ("other", RIGHT[name])):
        pairs = [(key, value) for key, value in RIGHT.items() if key != name] + [(name, first), (name, second)]
        text = "{" + ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in pairs) + "}"
        assert check(encoded(text.encode())) == MALFORMED
    # An escape does not make it another name.
    twice = json.dumps(RIGHT)[:-1] + f', "\\u{ord(name):04x}": {json.dumps(RIGHT[name])}}}'
    assert check(encoded(twice.encode())) == MALFORMED


def test_however_a_token_is_spelt_it_is_one_to_claim() -> None:
    token, members = forge_wrapped(), RIGHT
    escaped = json.dumps(members).replace("cpt_pub", "\\u0063pt_pub")
    spellings = [
        token,
        token + "=",
        token + "==",
        token + "=" * 7,
        encoded(json.dumps(members).encode()),
        encoded(json.dumps(members, indent=3).encode()),
        encoded(json.dumps(dict(reversed(members.items()))).encode()),
        encoded(escaped.encode()),
        *(token[:-1] + last for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
    ]
    judged = [check(spelling) for spelling in spellings]
    claims = {each.claim_key for each in judged if isinstance(each, Solved)}
    assert all(isinstance(each, Solved) for each in judged[:8])
    assert len(claims) == 1


def test_a_right_token_may_be_spelt_with_4096_characters_at_most() -> None:
    blanks = 4096 * 3 // 4 - len(json.dumps(RIGHT))
    longest = encoded(json.dumps(RIGHT).encode() + b" " * blanks)
    assert len(longest) == 4096
    assert isinstance(check(longest), Solved)
    assert check(longest + "=") == MALFORMED
    assert check(encoded(json.dumps(RIGHT).encode() + b" " * (blanks + 1))) == MALFORMED


TOKEN = forge_wrapped()


@pytest.mark.parametrize("place", range(len(TOKEN)))
def test_no_character_of_a_token_can_be_changed(place: int) -> None:
    right = check(TOKEN)
    for character in "Aa0_":
        changed = TOKEN[:place] + character + TOKEN[place + 1 :]
        judged = check(changed)
        assert judged == right if members_or_none(changed) == RIGHT else judged in (MALFORMED, FORGED)


def members_or_none(token: str) -> object:
    try:
        return members_of(token)
    except ValueError:
        return None


@pytest.mark.parametrize("name", ["k", "s", "t", "x", "h"])
def test_no_member_of_one_token_is_spliced_into_another(name: str) -> None:
    """ghsa_6gvq_jcmp_8959: what is signed must tell where each value ends."""
    other = members_of(
        forge_wrapped(k="cpt_pub_blog", s=forge_session(host=b"x"), t=encoded(b"y" * 16), x=RIGHT["x"] + 1000)
    )
    for one, another in ((RIGHT, other), (other, RIGHT)):
        assert check(spelt({**one, name: another[name]})) == FORGED


def test_no_value_runs_into_the_next() -> None:
    """A line feed in the one value that may hold it, the site key, is not taken for the end of it."""
    session = RIGHT["s"]
    odd = forge_wrapped(k=f"cpt_pub_site\n{session}")
    assert members_of(odd)["h"] == members_of(forge_wrapped(s=f"{session}\n{session}"))["h"]
    assert check(odd) == FORGED
    assert check(forge_wrapped(s=f"{session}\n{session}")) == MALFORMED


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (forge_wrapped(k="cpt_pub_blog"), FORGED),
        (forge_wrapped(key=OTHER_KEY), FORGED),
        (forge_wrapped(s=forge_session(site=b"cpt_pub_blog")), FORGED),
        (forge_wrapped(s="A" * 80), FORGED),
        (forge_wrapped(x=0), EXPIRED),
        (forge_wrapped(x=(NOW + 631 + 5) * 1000), FORGED),
        (forge_wrapped(x=2**53 - 1), FORGED),
        (forge_wrapped(s=forge_session(tag=b"t" * 8)), None),
    ],
)
def test_what_our_own_key_has_signed_is_judged_all_the_same(token: str, expected: Failed | None) -> None:
    judged = check(token)
    assert isinstance(judged, Solved) if expected is None else judged == expected


def test_another_version_is_malformed_even_with_our_own_signature() -> None:
    assert check(forge_wrapped(v=2)) == MALFORMED


@pytest.mark.parametrize(
    ("now", "expected"),
    [(NOW - 31, FORGED), (NOW - 30, None), (NOW + 600, None), (NOW + 600.001, EXPIRED), (NOW + 10**6, EXPIRED)],
)
def test_a_token_is_good_for_ten_minutes(now: float, expected: Failed | None) -> None:
    judged = check(forge_wrapped(), now=now)
    assert isinstance(judged, Solved) if expected is None else judged == expected


def test_a_token_carries_no_action() -> None:
    """The widget can't name one, so a token is none for a route that asks for it."""
    assert check(forge_wrapped(), action="signup") == ELSEWHERE


def test_tokens_of_equal_handles_at_two_sites_are_two_to_claim() -> None:
    sites = [engine(site_key="a"), engine(site_key="b")]
    judged = [check(wrapped(site), site) for site in sites]
    assert len({each.claim_key for each in judged if isinstance(each, Solved)}) == 2


@given(content=st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_a_token_of_any_bytes_is_refused_without_an_error(content: bytes) -> None:
    assert check(encoded(content)) in (MALFORMED, FORGED)
    assert check(content.decode("latin-1")) in (MALFORMED, FORGED)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(changed=st.dictionaries(st.sampled_from(list(RIGHT)), ANY_JSON, min_size=1))
def test_a_token_with_any_other_value_is_refused(changed: dict[str, Any]) -> None:
    sent = {**RIGHT, **changed}
    judged = check(spelt(sent))
    if json.dumps(sent) == json.dumps(RIGHT):
        assert isinstance(judged, Solved)
    else:
        assert judged in (MALFORMED, FORGED)


@given(session_id=st.text(max_size=90) | st.binary(min_size=44, max_size=80).map(encoded))
def test_a_session_id_of_any_text_does_not_live(session_id: str) -> None:
    assert not engine().lives(session_id, now=NOW, client=None)


# Both kinds of tokens in one field


def test_the_shape_tells_a_wrapped_token_from_a_solution_of_our_own_widget() -> None:
    native = NativeChallenges([KEY], site_key="cpt_pub_site")
    either = EitherToken(engine(), native)
    challenge = native.issue(now=NOW, nonce=b"nnnn", step=1, client=None)
    value = f"{challenge.token}.{solve(challenge.token, challenge.target)}"
    judged = [either.check(token, now=NOW, client=None) for token in (value, forge_wrapped())]
    assert all(isinstance(one, Solved) for one in judged)
    assert judged == [native.check(value, now=NOW, client=None), check(forge_wrapped(), now=NOW)]
    for broken in ("", "A" * 32, "A" * 32 + ".x", forge_wrapped() + "."):
        failed = either.check(broken, now=NOW, client=None)
        assert isinstance(failed, Failed)
        assert failed.reason is Reason.TOKEN_MALFORMED
