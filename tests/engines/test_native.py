"""The native proof of work: captchaapi.md 3 to 7 and 10, threats.md R10.

`forge` makes tokens with the signing key in hand, from the description alone: what only the gate's own key could make
and is refused all the same shows that the check does not rest on the MAC alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caputchin_gate.difficulty import Hardening
from caputchin_gate.engines import Binding, KeyedHash, Solved
from caputchin_gate.engines.native import NativeChallenges, meets
from caputchin_gate.engines.solver import solve
from caputchin_gate.errors import ConfigurationError
from caputchin_gate.verdict import Failed, Reason

KEY, OTHER_KEY, NEW_KEY = b"k" * 32, b"o" * 32, b"n" * 32
NOW = 1_800_000_000
NONCE = b"\x01\x02\x03\x04"
HOME, AWAY = "203.0.113.9", "198.51.100.7"


def engine(*keys: bytes, site_key: str = "site", binding: Binding = "if-known") -> NativeChallenges:
    return NativeChallenges(keys or (KEY,), site_key=site_key, binding=binding)


def solved(
    challenges: NativeChallenges,
    *,
    now: float = NOW,
    step: int = 1,
    state: Hardening = Hardening.NORMAL,
    client: str | None = None,
    action: str = "",
    nonce: bytes = NONCE,
) -> str:
    challenge = challenges.issue(now=now, nonce=nonce, step=step, state=state, client=client, action=action)
    return f"{challenge.token}.{solve(challenge.token, challenge.target)}"


def forge(
    *,
    key: bytes = KEY,
    issued_at: int = NOW,
    difficulty: int = 1,
    tag: bytes = bytes(4),
    site_key: bytes = b"site",
    action: bytes = b"",
) -> str:
    purpose = hmac.new(key, b"caputchin-gate native challenge", "sha256").digest()
    body = issued_at.to_bytes(4) + difficulty.to_bytes(2) + tag + NONCE
    counted = [len(text).to_bytes(4) + text for text in (site_key, action)]
    mac = hmac.new(purpose, counted[0] + body + counted[1], "sha256").digest()[:10]
    return base64.urlsafe_b64encode(body + mac).decode()


def refusal(judged: Solved | Failed) -> tuple[Reason, tuple[str, ...]]:
    assert isinstance(judged, Failed)
    return judged.reason, judged.codes


FORGED = (Reason.TOKEN_REJECTED, ("invalid_token",))
UNSOLVED = (Reason.TOKEN_REJECTED, ("invalid_solution",))
EXPIRED = (Reason.TOKEN_EXPIRED, ("invalid_token",))
ELSEWHERE = (Reason.TOKEN_ELSEWHERE, ("invalid_token",))
NO_TOKEN = (Reason.TOKEN_MALFORMED, ("invalid_token",))
NO_SOLUTION = (Reason.TOKEN_MALFORMED, ("invalid_solution",))


# The work


@pytest.mark.parametrize(
    ("token", "target", "smallest", "digest"),
    [
        ("a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6", 0xFFFFFFFF, 0, "696395cfbaad9694"),
        ("a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6", 0x00FFFFFF, 87, "00b20a0a0f9333b1"),
        ("a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6", 0x000FFFFF, 1133, "000abb311a6be589"),
        ("a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6", 0x0003FFFF, 1991, "0002431749fc7adc"),
        ("a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6", 0x0000FFFF, 123446, "0000c055ecfb5bc9"),
        ("0123456789abcdef0123456789abcdef", 0x000FFFFF, 0, "000cb919a0d5189e"),
        ("0123456789abcdef0123456789abcdef", 0x0003FFFF, 5422, "00021b08de3d35d7"),
        ("0123456789abcdef0123456789abcdef", 0x0000FFFF, 58454, "000071935b52dbe0"),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef", 0x00FFFFFF, 275, "00cbba142d35fd44"),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef", 0x000FFFFF, 11827, "00061fc23a612cfd"),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef", 0x0000FFFF, 33265, "00004ba720f1a178"),
    ],
)
def test_the_work_is_that_of_the_page(token: str, target: int, smallest: int, digest: str) -> None:
    assert solve(token, target) == smallest
    assert hashlib.sha256(f"{token}{smallest}".encode()).hexdigest().startswith(digest)
    prefix = int(digest[:8], 16)
    assert [meets(token.encode(), str(smallest), limit) for limit in (prefix - 1, prefix, target)] == [
        False,
        True,
        True,
    ]


def test_every_solution_of_a_challenge_is_right_and_all_are_one_token() -> None:
    challenges = engine()
    challenge = challenges.issue(now=NOW, nonce=NONCE, step=1, client=None)
    right = (n for n in count() if meets(challenge.token.encode(), str(n), challenge.target))
    judged = [challenges.check(f"{challenge.token}.{next(right)}", now=NOW, client=None) for _ in range(3)]
    assert all(isinstance(each, Solved) for each in judged)
    assert len({each.claim_key for each in judged if isinstance(each, Solved)}) == 1


# What is issued


def test_a_challenge_has_the_form_the_page_describes() -> None:
    challenge = engine().issue(now=NOW + 0.9, nonce=NONCE, step=1, client=HOME)
    assert len(challenge.token) == 32
    assert set(challenge.token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert (challenge.target, challenge.expires_at) == (0x000FFFFF, NOW + 120)


@pytest.mark.parametrize("state", list(Hardening))
@pytest.mark.parametrize("step", [1, 50, 99])
def test_step_and_state_travel_in_the_token_and_set_the_target(step: int, state: Hardening) -> None:
    challenges = engine()
    challenge = challenges.issue(now=NOW, nonce=NONCE, step=step, state=state, client=None)
    assert challenge.token == forge(difficulty=state << 14 | step)
    assert challenge.target == challenges.curve.target(step, state)


def test_two_challenges_differ_by_their_nonce() -> None:
    challenges = engine()
    tokens = {challenges.issue(now=NOW, nonce=bytes([0, 0, 0, n]), step=1, client=HOME).token for n in range(50)}
    assert len(tokens) == 50


@pytest.mark.parametrize(("step", "nonce"), [(0, NONCE), (100, NONCE), (1, b"abc"), (1, b"abcde"), (1, b"")])
def test_nothing_is_issued_off_the_curve_or_with_a_short_nonce(step: int, nonce: bytes) -> None:
    with pytest.raises(ValueError, match="curve"):
        engine().issue(now=NOW, nonce=nonce, step=step, client=None)


@pytest.mark.parametrize("keys", [(), (b"k" * 31,), (KEY, b"")])
def test_a_short_signing_key_is_a_mistake_of_the_configuration(keys: tuple[bytes, ...]) -> None:
    with pytest.raises(ConfigurationError, match="signing_key"):
        NativeChallenges(keys, site_key="site")


# What is accepted


def test_a_solved_challenge_says_what_to_claim_and_for_how_long() -> None:
    judged = engine().check(solved(engine()), now=NOW + 5, client=None)
    assert isinstance(judged, Solved)
    assert (judged.site_key, judged.issued_at) == ("site", NOW)
    assert 16 <= len(judged.claim_key) <= 32


@pytest.mark.parametrize("lifetime", [10, 120, 300])
def test_a_used_challenge_is_remembered_for_as_long_as_any_setting_lets_it_live(lifetime: int) -> None:
    """Workers may have the new setting while others still have the old one (threats.md R33)."""
    challenges = NativeChallenges([KEY], site_key="site", lifetime=lifetime)
    judged = challenges.check(solved(challenges), now=NOW + 5, client=None)
    assert isinstance(judged, Solved)
    assert judged.until == NOW + 300 + 2 * 30


@pytest.mark.parametrize("seconds", [-30, -1, 0, 60, 120])
def test_a_challenge_is_good_from_issue_to_expiry_with_the_leeway_of_another_clock(seconds: int) -> None:
    assert isinstance(engine().check(solved(engine()), now=NOW + seconds, client=None), Solved)


@pytest.mark.parametrize("signing", [KEY, NEW_KEY])
def test_during_a_rotation_the_first_key_signs_and_all_verify(signing: bytes) -> None:
    value = solved(engine(signing), client=HOME)
    assert isinstance(engine(NEW_KEY, KEY).check(value, now=NOW, client=HOME), Solved)
    assert refusal(engine(OTHER_KEY).check(value, now=NOW, client=HOME)) == FORGED


HOSTS = ("shop.example", "www.shop.example")


@pytest.mark.parametrize("keys", [(KEY,), (OTHER_KEY, KEY)], ids=["one key", "a rotated key"])
@pytest.mark.parametrize(
    ("issued", "checked", "expected"),
    [
        ("shop.example", HOSTS, "shop.example"),
        ("www.shop.example", HOSTS, "www.shop.example"),
        ("", HOSTS, None),
        ("www.shop.example", HOSTS[1:], "www.shop.example"),
        ("evil.example", HOSTS, None),  # of no host that the engine was told of: nothing is known
    ],
)
def test_the_host_of_the_page_is_told_and_costs_no_room(
    keys: tuple[bytes, ...], issued: str, checked: tuple[str, ...], expected: str | None
) -> None:
    issuer = NativeChallenges([KEY], site_key="site", hosts=HOSTS)
    challenge = issuer.issue(now=NOW, nonce=b"1234", step=1, client=HOME, host=issued)
    value = f"{challenge.token}.{solve(challenge.token, challenge.target)}"
    assert len(challenge.token) == 32
    solved = NativeChallenges(keys, site_key="site", hosts=checked).check(value, now=NOW, client=HOME)
    assert isinstance(solved, Solved)
    assert solved.hostname == expected


@pytest.mark.parametrize("hosts", [(), ("shop.example",), ("evil.example",)])
def test_a_token_for_a_host_that_is_no_longer_the_sites_is_not_ours(hosts: tuple[str, ...]) -> None:
    issuer = NativeChallenges([KEY], site_key="site", hosts=HOSTS)
    challenge = issuer.issue(now=NOW, nonce=b"1234", step=1, client=HOME, host="www.shop.example")
    value = f"{challenge.token}.{solve(challenge.token, challenge.target)}"
    assert refusal(NativeChallenges([KEY], site_key="site", hosts=hosts).check(value, now=NOW, client=HOME)) == FORGED


def test_a_host_is_not_taken_for_an_action() -> None:
    """Both stand at the end of what is signed, each with its length before it."""
    issuer = NativeChallenges([KEY], site_key="site", hosts=HOSTS)
    marks = set()
    for action, host in (("", "shop.example"), ("shop.example", ""), ("", ""), ("shop.example", "shop.example")):
        challenge = issuer.issue(now=NOW, nonce=b"1234", step=1, client=HOME, action=action, host=host)
        marks.add(challenge.token)
    assert len(marks) == 4


def test_tokens_are_claimed_under_different_keys_for_different_tokens_and_sites() -> None:
    values = [(site, nonce) for site in ("site", "sit", "e") for nonce in (NONCE, b"zzzz")]
    keys = set()
    for site, nonce in values:
        challenges = engine(site_key=site)
        judged = challenges.check(solved(challenges, nonce=nonce), now=NOW, client=None)
        assert isinstance(judged, Solved)
        keys.add(judged.claim_key)
    assert len(keys) == len(values)


# Binding to the client


@pytest.mark.parametrize(
    ("binding", "asked", "redeemed", "admitted"),
    [
        ("if-known", HOME, HOME, True),
        ("if-known", HOME, AWAY, False),
        ("if-known", HOME, None, True),
        ("if-known", None, AWAY, True),
        ("if-known", None, None, True),
        ("off", HOME, AWAY, True),
        ("off", None, None, True),
        ("require", HOME, HOME, True),
        ("require", HOME, AWAY, False),
        ("require", HOME, None, False),
        ("require", None, HOME, False),
        ("require", None, None, False),
    ],
)
def test_who_may_redeem_a_challenge(binding: Binding, asked: str | None, redeemed: str | None, admitted: bool) -> None:
    challenges = engine(binding=binding)
    judged = challenges.check(solved(challenges, client=asked), now=NOW, client=redeemed)
    assert isinstance(judged, Solved) if admitted else refusal(judged) == ELSEWHERE


def test_a_token_does_not_show_the_client_it_is_bound_to() -> None:
    """Without the key nobody can try all addresses; with another key the same address has another tag."""
    tags = {
        base64.urlsafe_b64decode(engine(key).issue(now=NOW, nonce=NONCE, step=1, client=HOME).token)[6:10]
        for key in (KEY, OTHER_KEY, NEW_KEY)
    }
    assert len(tags) == 3
    purpose = hmac.digest(KEY, b"caputchin-gate native client", "sha256")
    assert hmac.digest(purpose, HOME.encode(), "sha256")[:4] in tags
    assert not tags & {hashlib.sha256(HOME.encode()).digest()[:4], bytes(4)}


def test_a_client_whose_tag_would_read_as_unbound_is_bound_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caputchin_gate.engines.native.KeyedHash", ZeroForClients)
    challenges = engine(binding="require")
    token = challenges.issue(now=NOW, nonce=NONCE, step=1, client=HOME).token
    assert base64.urlsafe_b64decode(token)[6:10] == b"\0\0\0\1"
    assert isinstance(challenges.check(solved(challenges, client=HOME), now=NOW, client=HOME), Solved)


class ZeroForClients(KeyedHash):
    """One hash in four billion begins with four zero bytes; here those of a network do."""

    def digest(self, message: bytes) -> bytes:
        return bytes(4) + super().digest(message)[4:]


# What is refused


def flipped(token: str, place: int) -> str:
    return token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]


@pytest.mark.parametrize("place", range(32))
def test_no_character_of_a_token_can_be_changed(place: int) -> None:
    token = flipped(engine().issue(now=NOW, nonce=NONCE, step=1, client=HOME).token, place)
    value = f"{token}.{solve(token, 0x000FFFFF)}"
    assert refusal(engine().check(value, now=NOW, client=HOME)) == FORGED


@pytest.mark.parametrize(
    ("issued", "checked"),
    [
        ({}, {"action": "login"}),
        ({"action": "login"}, {}),
        ({"action": "login"}, {"action": "Login"}),
        ({"action": "login"}, {"action": "login "}),
        ({"site_key": "other"}, {}),
        ({"site_key": "si", "action": "te"}, {"action": "te"}),
        ({"site_key": "siteA", "action": ""}, {"action": "A"}),
        ({"action": "\ud800"}, {"action": "?"}),
    ],
)
def test_a_token_is_good_for_one_site_and_action(issued: dict[str, str], checked: dict[str, str]) -> None:
    own = engine(site_key=issued.get("site_key", "site"))
    value = solved(own, action=issued.get("action", ""))
    assert isinstance(own.check(value, now=NOW, client=None, action=issued.get("action", "")), Solved)
    assert refusal(engine().check(value, now=NOW, client=None, **checked)) == FORGED


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (NOW + 120.001, EXPIRED),
        (NOW + 121, EXPIRED),
        (NOW + 10**6, EXPIRED),
        (NOW - 30.001, FORGED),
        (NOW - 31, FORGED),
        (0, FORGED),
    ],
)
def test_a_challenge_is_refused_before_its_time_and_after_it(now: float, expected: object) -> None:
    assert refusal(engine().check(solved(engine()), now=now, client=None)) == expected


@pytest.mark.parametrize("difficulty", [0, 100, 2**14 - 1, 1 << 14, 3 << 14, 2**16 - 1])
def test_a_difficulty_that_is_never_issued_is_refused_even_with_our_own_mac(difficulty: int) -> None:
    token = forge(difficulty=difficulty)
    assert refusal(engine().check(f"{token}.{solve(token, 0xFFFF)}", now=NOW, client=None)) == FORGED


def test_a_hard_challenge_is_not_passed_by_the_work_of_an_easy_one() -> None:
    challenges = engine()
    challenge = challenges.issue(now=NOW, nonce=NONCE, step=99, state=Hardening.CRITICAL, client=None)
    easy = solve(challenge.token, 0x000FFFFF)
    assert refusal(challenges.check(f"{challenge.token}.{easy}", now=NOW, client=None)) == UNSOLVED


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", NO_TOKEN),
        (".", NO_TOKEN),
        (".1", NO_TOKEN),
        ("{token}", NO_TOKEN),
        ("{token31}.1", NO_TOKEN),
        ("{token}A.1", NO_TOKEN),
        (" {token}.1", NO_TOKEN),
        ("{token31}+.1", NO_TOKEN),
        ("{token31}/.1", NO_TOKEN),
        ("{token31}=.1", NO_TOKEN),
        ("{token31}\n.1", NO_TOKEN),
        ("{token31}\u00e9.1", NO_TOKEN),
        ("{token31}\u0661.1", NO_TOKEN),
        ("{token}.", NO_SOLUTION),
        ("{token}.+1", NO_SOLUTION),
        ("{token}.-1", NO_SOLUTION),
        ("{token}.01", NO_SOLUTION),
        ("{token}.00", NO_SOLUTION),
        ("{token}.1.0", NO_SOLUTION),
        ("{token}.1e3", NO_SOLUTION),
        ("{token}.0x1", NO_SOLUTION),
        ("{token}. 1", NO_SOLUTION),
        ("{token}.1 ", NO_SOLUTION),
        ("{token}.1\n", NO_SOLUTION),
        ("{token}.1_0", NO_SOLUTION),
        ("{token}.\u0661", NO_SOLUTION),
        ("{token}.\uff11", NO_SOLUTION),
        ("{token}.123456789012345678901", NO_SOLUTION),
        ("{token}..1", NO_SOLUTION),
    ],
)
def test_a_value_of_another_form_is_refused_before_any_hash(value: str, expected: object) -> None:
    token = forge()
    sent = value.format(token=token, token31=token[:31])
    assert refusal(engine().check(sent, now=NOW, client=None)) == expected


def test_a_solution_of_twenty_digits_is_a_solution() -> None:
    token = forge()
    n = next(n for n in count(10**19) if meets(token.encode(), str(n), 0x000FFFFF))
    assert isinstance(engine().check(f"{token}.{n}", now=NOW, client=None), Solved)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        # each value has all the faults from its own on: the first check that fails names the refusal
        ("form", NO_SOLUTION),
        ("mac", FORGED),
        ("expiry", EXPIRED),
        ("bounds", FORGED),
        ("client", ELSEWHERE),
        ("work", UNSOLVED),
    ],
)
def test_the_checks_come_in_their_order_and_the_work_is_last(fault: str, expected: object) -> None:
    faults = ("form", "mac", "expiry", "bounds", "client", "work")
    wrong = set(faults[faults.index(fault) :])
    token = forge(
        key=OTHER_KEY if "mac" in wrong else KEY,
        issued_at=NOW - 121 if "expiry" in wrong else NOW,
        difficulty=0 if "bounds" in wrong else 1,
        tag=b"\xff\xff\xff\xff",
    )
    bad = next(n for n in count() if not meets(token.encode(), str(n), 0x000FFFFF))
    value = f"{token}.{'+' if 'form' in wrong else ''}{bad}"
    client = HOME if "client" in wrong else None
    assert refusal(engine().check(value, now=NOW, client=client)) == expected


# Regressions of others, named after their advisories (threats.md R10)


def test_cve_2025_24369_any_well_formed_hash_is_no_proof_and_the_client_sets_no_difficulty() -> None:
    """Anubis GHSA-56w8-8ppj-2p4f: the difficulty came from the client, so 0 accepted every hash."""
    token = forge()
    wrong = next(n for n in count() if not meets(token.encode(), str(n), 0x000FFFFF))
    assert refusal(engine().check(f"{token}.{wrong}", now=NOW, client=None)) == UNSOLVED
    for suffix in ("&difficulty=0", "?target=4294967295", ".0", ":0"):
        assert refusal(engine().check(f"{token}.{wrong}{suffix}", now=NOW, client=None)) == NO_SOLUTION
    assert refusal(engine().check(f"{forge(difficulty=0)}.{wrong}", now=NOW, client=None)) == FORGED


def test_ghsa_6gvq_jcmp_8959_no_part_of_a_challenge_is_spliced_into_another() -> None:
    """altcha-lib: salt and expiry ran together, so the expiry could be rewritten under the same signature."""
    old, fresh = forge(issued_at=NOW - 600), forge(issued_at=NOW)
    raw = [base64.urlsafe_b64decode(token) for token in (old, fresh)]
    for cut in range(1, 24):
        for one, other in (raw, raw[::-1]):
            token = base64.urlsafe_b64encode(one[:cut] + other[cut:]).decode()
            judged = engine().check(f"{token}.{solve(token, 0x000FFFFF)}", now=NOW, client=None)
            assert isinstance(judged, Solved) if token == fresh else refusal(judged) in (FORGED, EXPIRED)


def test_anubis_issue_499_work_done_in_advance_is_lost_with_the_nonce() -> None:
    """The challenge was the same for a week, so its solution was too."""
    challenges = engine()
    first = challenges.issue(now=NOW, nonce=NONCE, step=1, client=HOME)
    solution = solve(first.token, first.target)
    later = [challenges.issue(now=NOW, nonce=n.to_bytes(4), step=1, client=HOME).token for n in range(20)]
    assert not any(meets(token.encode(), str(solution), first.target) for token in later)


def test_a_solution_is_over_the_whole_challenge() -> None:
    token = forge()
    solution = solve(token, 0x0000FFFF)
    others = [flipped(token, place) for place in range(32)]
    assert not any(meets(other.encode(), str(solution), 0x0000FFFF) for other in others)


# Properties


@given(st.text(max_size=60))
def test_no_text_breaks_the_check_and_none_passes(text: str) -> None:
    assert isinstance(engine().check(text, now=NOW, client=None), Failed)


@given(st.binary(min_size=24, max_size=24), st.integers(0, 10**20 - 1))
def test_no_bytes_of_the_right_size_pass_without_the_key(raw: bytes, solution: int) -> None:
    token = base64.urlsafe_b64encode(raw).decode()
    assert refusal(engine().check(f"{token}.{solution}", now=NOW, client=None)) == FORGED


@given(st.binary(max_size=64), st.binary(max_size=100), st.binary(max_size=100))
def test_the_hash_prepared_in_advance_is_hmac(key: bytes, beginning: bytes, message: bytes) -> None:
    assert KeyedHash(key, beginning).digest(message) == hmac.digest(key, beginning + message, "sha256")


def test_a_key_longer_than_a_block_is_not_cut_in_silence() -> None:
    with pytest.raises(ValueError, match="block"):
        KeyedHash(b"k" * 65)


def test_no_key_shows_in_a_repr() -> None:
    challenges = engine()
    shown = repr(challenges) + repr(challenges._keys)
    assert KEY.decode() not in shown
    assert repr(KEY) not in shown
