"""The policy as conversations: what it asks of the world, what the world answers, what it decides."""

from __future__ import annotations

import json
from typing import ClassVar

import pytest

from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.clock import Clock
from caputchin_gate.effects import BodyEnd, Call, Claim, Claimed, ClaimResult, NoReply, ReadBody, Sleep, StoreDown
from caputchin_gate.messages import HttpReply, RequestHead
from caputchin_gate.policy import Settings, Terms, decide
from caputchin_gate.providers import Upstream
from caputchin_gate.providers.caputchin import Caputchin
from caputchin_gate.providers.gotcha import GotCHA
from caputchin_gate.providers.procaptcha import Procaptcha
from caputchin_gate.routes import RouteTable
from caputchin_gate.tokens import Places
from caputchin_gate.verdict import Cause, Decision, Reason
from caputchin_gate.verification import Demands, InFlight, Verification, Visitor, verify
from tests.conversation import Conversation

TOKEN = "eyJ2IjoxLCJzIjoi"
CAPUTCHIN = Caputchin(secret="cpt_sec_example")
GOTCHA = GotCHA(secret="c2VjcmV0LWV4YW1wbGU=")
FORM = RequestHead("POST", "/contact", headers={"content-type": ("application/x-www-form-urlencoded",)})


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def __call__(self) -> float:
        return self.time


def settings(limit: int = 100, watch: Watch | None = None) -> Settings:
    watch = watch or Watch()
    clock = Clock(now=watch, monotonic=watch, random_bytes=lambda count: b"r" * count)
    return Settings(RouteTable([]), Verification(clock, InFlight(limit)), TrustedProxies((), "x-forwarded-for"))


def terms(provider: Upstream = CAPUTCHIN, **options: object) -> Terms:
    return Terms((provider,), Places((provider.token_field,)), **options)  # type: ignore[arg-type]


def body(provider: Upstream, token: str = TOKEN) -> bytes:
    return f"name=Ann&{provider.token_field}={token}".encode()


def talk(given: Terms, *, head: RequestHead = FORM, world: Settings | None = None) -> Conversation[Decision]:
    return Conversation(decide(head, given, world or settings()))


def send(conversation: Conversation[Decision], content: bytes) -> None:
    conversation.expect(ReadBody, content)
    conversation.expect(ReadBody, BodyEnd.COMPLETE)


def reply(status: int = 200, **members: object) -> HttpReply:
    return HttpReply(status, {"content-type": "application/json"}, json.dumps(members).encode())


def test_a_token_that_the_provider_vouches_for_is_admitted() -> None:
    conversation = talk(terms())
    send(conversation, body(CAPUTCHIN))
    call = conversation.expect(Call, reply(success=True))
    assert TOKEN.encode() in call.request.body
    assert conversation.end().reason is Reason.VERIFIED


def test_no_provider_is_asked_about_a_request_without_a_token() -> None:
    conversation = talk(terms())
    send(conversation, b"name=Ann")
    assert conversation.end().reason is Reason.TOKEN_MISSING


def test_a_header_token_leaves_the_body_unread() -> None:
    head = RequestHead("POST", "/contact", headers={"x-caputchin-token": (TOKEN,)})
    conversation = talk(terms(), head=head)
    conversation.expect(Call, reply(success=True))
    assert conversation.end().reason is Reason.VERIFIED


@pytest.mark.parametrize("admit_outages", [False, True])
@pytest.mark.parametrize(
    ("answer", "enforced", "with_outage_policy"),
    [
        (reply(success=True), Reason.VERIFIED, Reason.VERIFIED),
        (reply(success=1), Reason.TOKEN_REJECTED, Reason.TOKEN_REJECTED),
        (reply(success="true"), Reason.TOKEN_REJECTED, Reason.TOKEN_REJECTED),
        (
            reply(success=False, **{"error-codes": ["invalid-input-response"]}),
            Reason.TOKEN_REJECTED,
            Reason.TOKEN_REJECTED,
        ),
        (
            reply(success=False, **{"error-codes": ["invalid-input-secret"]}),
            Reason.MISCONFIGURED,
            Reason.MISCONFIGURED,
        ),
        (reply(503), Reason.UNAVAILABLE, Reason.OUTAGE_ADMITTED),
        (HttpReply(200, {}, b"<html>"), Reason.UNAVAILABLE, Reason.OUTAGE_ADMITTED),
        (NoReply(Cause.TIMEOUT), Reason.UNAVAILABLE, Reason.OUTAGE_ADMITTED),
        (NoReply(Cause.CONNECTION, sent=False), Reason.UNAVAILABLE, Reason.OUTAGE_ADMITTED),
        (NoReply(Cause.TLS, sent=False), Reason.UNAVAILABLE, Reason.OUTAGE_ADMITTED),
    ],
)
def test_the_outage_policy_concerns_outages_and_nothing_else(
    answer: HttpReply | NoReply, enforced: Reason, with_outage_policy: Reason, admit_outages: bool
) -> None:
    conversation = talk(terms(admit_outages=admit_outages))
    send(conversation, body(CAPUTCHIN))
    conversation.expect(Call, answer)
    assert conversation.end().reason is (with_outage_policy if admit_outages else enforced)


@pytest.mark.parametrize(
    ("end", "reason", "status"),
    [
        (BodyEnd.CUT_SHORT, Reason.BODY_INCOMPLETE, 400),
        (BodyEnd.GONE, Reason.BODY_INCOMPLETE, 400),
        (BodyEnd.TOO_SLOW, Reason.BODY_INCOMPLETE, 408),
        (BodyEnd.NO_ROOM, Reason.OVERLOADED, 503),
    ],
)
def test_a_body_that_never_comes_whole_is_never_admitted(end: BodyEnd, reason: Reason, status: int) -> None:
    conversation = talk(terms(admit_outages=True))
    conversation.expect(ReadBody, body(CAPUTCHIN))
    conversation.expect(ReadBody, end)
    decision = conversation.end()
    assert (decision.reason, decision.status) == (reason, status)


@pytest.mark.parametrize("cut", [1, 7, 24, 25, 1000])
def test_the_body_limit_counts_bytes_and_not_pieces(cut: int) -> None:
    content = body(CAPUTCHIN)
    within, over = terms(max_body=len(content)), terms(max_body=len(content) - 1)
    for given, reason in ((within, None), (over, Reason.BODY_TOO_LARGE)):
        conversation = talk(given)
        for start in range(0, len(content), cut):
            conversation.expect(ReadBody, content[start : start + cut])
        if reason is None:
            conversation.expect(ReadBody, BodyEnd.COMPLETE)
            conversation.expect(Call, reply(success=True))
        else:
            assert conversation.end().reason is reason


def test_two_equal_tokens_at_once_ask_the_provider_once() -> None:
    world = settings()
    first, second = talk(terms(), world=world), talk(terms(), world=world)
    send(first, body(CAPUTCHIN))
    send(second, body(CAPUTCHIN))
    assert second.end().reason is Reason.TOKEN_USED
    first.expect(Call, reply(success=True))
    assert first.end().reason is Reason.VERIFIED


def test_a_token_may_be_tried_again_after_an_outage() -> None:
    world = settings()
    first = talk(terms(), world=world)
    send(first, body(CAPUTCHIN))
    first.expect(Call, NoReply(Cause.TIMEOUT))
    assert first.end().reason is Reason.UNAVAILABLE
    second = talk(terms(), world=world)
    send(second, body(CAPUTCHIN))
    second.expect(Call, reply(success=True))
    assert second.end().reason is Reason.VERIFIED


def test_more_verifications_at_once_than_the_limit_are_refused_whatever_the_outage_policy() -> None:
    world = settings(limit=1)
    first, second = talk(terms(), world=world), talk(terms(admit_outages=True), world=world)
    send(first, body(CAPUTCHIN))
    send(second, body(CAPUTCHIN, "another"))
    assert second.end().reason is Reason.OVERLOADED


def test_an_abandoned_verification_makes_room_again() -> None:
    world = settings(limit=1)
    abandoned = decide(FORM, terms(), world)
    for answer in (None, body(CAPUTCHIN), BodyEnd.COMPLETE):
        assert abandoned.send(answer)
    abandoned.close()
    second = talk(terms(), world=world)
    send(second, body(CAPUTCHIN))
    second.expect(Call, reply(success=True))
    assert second.end().admitted


class TestWhereTheProviderDoesNotPromiseSingleUse:
    """GotCHA's public server verifies a token again and again, so the gate claims it (threats.md D12)."""

    def ask(self, *answers: tuple[type, object], admit_outages: bool = False) -> Decision:
        conversation = talk(terms(GOTCHA, admit_outages=admit_outages))
        send(conversation, body(GOTCHA, "aaa.bbb.ccc"))
        for effect, answer in answers:
            conversation.expect(effect, answer)
        return conversation.end()

    def test_the_first_use_is_claimed(self) -> None:
        decision = self.ask((Claimed, False), (Call, reply(success=True)), (Claim, ClaimResult.WON))
        assert decision.reason is Reason.VERIFIED

    def test_the_second_use_is_refused_without_asking(self) -> None:
        assert self.ask((Claimed, True)).reason is Reason.TOKEN_USED

    def test_of_two_at_once_the_claim_decides(self) -> None:
        decision = self.ask((Claimed, False), (Call, reply(success=True)), (Claim, ClaimResult.LOST))
        assert decision.reason is Reason.TOKEN_USED

    def test_a_refused_token_is_not_claimed(self) -> None:
        assert self.ask((Claimed, False), (Call, reply(success=False))).reason is Reason.TOKEN_REJECTED

    @pytest.mark.parametrize("admit_outages", [False, True])
    def test_a_store_that_does_not_answer_refuses_whatever_the_outage_policy(self, admit_outages: bool) -> None:
        assert self.ask((Claimed, StoreDown()), admit_outages=admit_outages).reason is Reason.UNAVAILABLE
        answers = ((Claimed, False), (Call, reply(success=True)), (Claim, ClaimResult.STORE_DOWN))
        assert self.ask(*answers, admit_outages=admit_outages).reason is Reason.UNAVAILABLE


class TestRetries:
    PROCAPTCHA = Procaptcha(secret="site secret".replace(" ", "-"))

    def test_only_a_server_error_is_asked_again_and_only_once(self) -> None:
        conversation = talk(terms(self.PROCAPTCHA))
        send(conversation, body(self.PROCAPTCHA, "0xabcd"))
        conversation.expect(Call, reply(503))
        assert conversation.expect(Sleep, None).seconds == 0.25
        conversation.expect(Call, reply(503))
        assert conversation.end().reason is Reason.UNAVAILABLE

    def test_the_second_answer_counts(self) -> None:
        conversation = talk(terms(self.PROCAPTCHA))
        send(conversation, body(self.PROCAPTCHA, "0xabcd"))
        conversation.expect(Call, reply(503))
        conversation.expect(Sleep, None)
        conversation.expect(Call, reply(verified=True))
        assert conversation.end().reason is Reason.VERIFIED

    def test_a_token_that_makes_the_node_fail_is_refused_even_with_an_open_outage_policy(self) -> None:
        conversation = talk(terms(self.PROCAPTCHA, admit_outages=True))
        send(conversation, body(self.PROCAPTCHA, "0xabcd"))
        broken = reply(500, error={"code": 500, "key": "API.BAD_REQUEST", "message": ""})
        conversation.expect(Call, broken)
        conversation.expect(Sleep, None)
        conversation.expect(Call, broken)
        assert conversation.end().reason is Reason.TOKEN_REJECTED

    def test_no_attempt_is_made_after_the_deadline(self) -> None:
        watch = Watch()
        conversation = talk(terms(self.PROCAPTCHA), world=settings(watch=watch))
        send(conversation, body(self.PROCAPTCHA, "0xabcd"))
        watch.time += self.PROCAPTCHA.timeout
        conversation.expect(Call, reply(503))
        assert conversation.end().reason is Reason.UNAVAILABLE


class TestBreaker:
    def ask(self, world: Settings, answer: HttpReply | NoReply | None, number: int) -> Decision:
        conversation = talk(terms(), world=world)
        send(conversation, body(CAPUTCHIN, f"token{number}"))
        if answer is not None:
            conversation.expect(Call, answer)
        return conversation.end()

    def test_a_provider_that_keeps_failing_is_left_alone_for_a_while(self) -> None:
        watch = Watch()
        world = settings(watch=watch)
        for number in range(5):
            assert self.ask(world, NoReply(Cause.TIMEOUT), number).reason is Reason.UNAVAILABLE
        silent = self.ask(world, None, 5)
        assert (silent.reason, silent.retry_after) == (Reason.UNAVAILABLE, 5.0)
        watch.time += 5
        assert self.ask(world, reply(success=True), 6).reason is Reason.VERIFIED
        assert self.ask(world, reply(success=True), 7).reason is Reason.VERIFIED

    def test_after_the_pause_one_question_is_the_trial(self) -> None:
        watch = Watch()
        world = settings(watch=watch)
        for number in range(5):
            self.ask(world, NoReply(Cause.CONNECTION), number)
        watch.time += 5
        trial = talk(terms(), world=world)
        send(trial, body(CAPUTCHIN, "trial"))
        assert self.ask(world, None, 6).reason is Reason.UNAVAILABLE
        trial.expect(Call, reply(success=True))
        assert trial.end().admitted

    def test_refusals_never_open_it(self) -> None:
        world = settings()
        for number in range(20):
            assert self.ask(world, reply(success=False), number).reason is Reason.TOKEN_REJECTED


class TestDemands:
    HOSTNAME: ClassVar = {"success": True, "hostname": "Shop.Example", "challenge_ts": "2027-01-15T07:59:00Z"}

    @pytest.mark.parametrize(
        ("demands", "reason"),
        [
            (Demands(), Reason.VERIFIED),
            (Demands(hostnames=frozenset({"shop.example"})), Reason.VERIFIED),
            (Demands(hostnames=frozenset({"other.example"})), Reason.TOKEN_ELSEWHERE),
            (Demands(action="signup"), Reason.TOKEN_ELSEWHERE),
            (Demands(max_age=120), Reason.VERIFIED),
            (Demands(max_age=10), Reason.TOKEN_EXPIRED),
            (Demands(min_score=0.5), Reason.MISCONFIGURED),
        ],
    )
    def test_a_yes_that_does_not_meet_the_demands_is_a_no(self, demands: Demands, reason: Reason) -> None:
        conversation = talk(terms(GOTCHA, demands=demands))
        send(conversation, body(GOTCHA, "aaa.bbb.ccc"))
        conversation.expect(Claimed, False)
        conversation.expect(Call, reply(**self.HOSTNAME))
        if reason is Reason.VERIFIED:
            conversation.expect(Claim, ClaimResult.WON)
        assert conversation.end().reason is reason


def test_the_log_gets_a_digest_and_never_the_token() -> None:
    conversation = talk(terms())
    send(conversation, body(CAPUTCHIN))
    conversation.expect(Call, reply(success=True))
    decision = conversation.end()
    assert decision.token_digest is not None
    assert len(decision.token_digest) == 8
    assert TOKEN not in repr(decision)


def test_of_an_email_address_only_the_domain_goes_to_the_provider() -> None:
    provider = Procaptcha(secret="site-secret")
    asked = verify((provider,), "0xabcd", None, Visitor(email="a.b@Example.com"), Demands(), settings().verification)
    call = Conversation(asked).expect(Call, reply(verified=True))
    assert json.loads(call.request.body)["email"] == "example.com"
