"""The policy as conversations: what it asks of the world, what the world answers, what it decides."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.clock import Clock
from caputchin_gate.effects import BodyEnd, Call, Claim, Claimed, ClaimResult, NoReply, ReadBody, Sleep, StoreDown
from caputchin_gate.messages import HttpReply, RequestHead
from caputchin_gate.policy import Admit, Answer, OwnPath, PassOn, Settings, Terms, decide, rule_on, rule_on_websocket
from caputchin_gate.providers import Retry, Upstream
from caputchin_gate.providers.caputchin import Caputchin
from caputchin_gate.providers.gotcha import GotCHA
from caputchin_gate.providers.procaptcha import Procaptcha
from caputchin_gate.receipt import Receipts
from caputchin_gate.routes import RouteTable, Rule
from caputchin_gate.tokens import Places
from caputchin_gate.verdict import Cause, Decision, Passed, Reason, Verdict
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
        (reply(429), Reason.UNAVAILABLE, Reason.UNAVAILABLE),  # who asked too often may have been anybody
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

    def test_a_store_that_lost_its_memory_refuses_only_what_may_have_been_used_before(self) -> None:
        """A good token of GotCHA is no older than five minutes."""
        world = settings()
        conversation = talk(terms(GOTCHA), world=world)
        now = world.verification.clock.now()
        send(conversation, body(GOTCHA, "aaa.bbb.ccc"))
        assert conversation.expect(Claimed, False).born == now - 300
        conversation.expect(Call, reply(success=True))
        assert conversation.expect(Claim, ClaimResult.WON).born == now - 300

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


@pytest.mark.parametrize(
    ("method", "path", "report_only", "ruling"),
    [
        ("GET", "/contact", False, Answer),
        ("GET", "/contact", True, Admit),
        ("CONNECT", "/contact", False, Answer),
        ("GET", "/hooks/paid", False, PassOn),
        ("GET", "/hooks/other", False, Answer),
    ],
)
def test_a_handshake_carries_no_token(method: str, path: str, report_only: bool, ruling: type[object]) -> None:
    rules: list[Rule[Terms | OwnPath]] = [Rule("/contact", terms()), Rule("/hooks/{name}", terms())]
    routes = RouteTable(rules, ["* /hooks/paid"])
    ruled = rule_on_websocket(RequestHead(method, path), replace(settings(), routes=routes, report_only=report_only))
    assert isinstance(ruled, ruling)
    if not isinstance(ruled, PassOn):
        assert ruled.decision is not None
        assert ruled.decision.details == ("a WebSocket handshake",) or report_only


class Unprepared(Caputchin):
    def read(self, reply: HttpReply) -> Verdict | Retry:
        raise ZeroDivisionError


def test_an_answer_that_we_fail_to_read_admits_nobody(caplog: pytest.LogCaptureFixture) -> None:
    conversation = talk(terms(Unprepared(secret="cpt_sec_0123456789abcdef"), admit_outages=True))
    send(conversation, body(CAPUTCHIN))
    conversation.expect(Call, reply(success=True))
    decision = conversation.end()
    assert (decision.reason, decision.admitted) == (Reason.UNAVAILABLE, False)
    assert "ZeroDivisionError at test_policy.py" in caplog.text


class TestBreaker:
    def ask(
        self, world: Settings, answer: HttpReply | NoReply | None, number: int, *, admit_outages: bool = False
    ) -> Decision:
        conversation = talk(terms(admit_outages=admit_outages), world=world)
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

    def test_what_opens_it_by_asking_too_often_admits_nobody(self) -> None:
        world = settings()
        for number in range(4):
            self.ask(world, reply(429), number)
        self.ask(world, NoReply(Cause.TIMEOUT), 4)
        assert self.ask(world, None, 5, admit_outages=True).reason is Reason.UNAVAILABLE

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


class TestReceipts:
    """A verified token earns one; it admits what comes after, and never more than it says."""

    HOME: ClassVar[str] = "203.0.113.9"
    RECEIPTS: ClassVar[Receipts] = Receipts([b"k" * 32], match="POST /contact", asked="", lifetime=120, uses=2)

    def head(self, cookie: str | None = None, *, peer: str | None = HOME, **headers: str) -> RequestHead:
        fields = {"content-type": ("application/x-www-form-urlencoded",)}
        fields |= {name.replace("_", "-"): (value,) for name, value in headers.items()}
        return RequestHead("POST", "/contact", headers=fields | ({"cookie": (cookie,)} if cookie else {}), peer=peer)

    def cookie(self, world: Settings, client: str | None = HOME) -> str:
        now, receipt_id = world.verification.clock.now(), b"i" * 16
        return self.RECEIPTS.issue(now=now, receipt_id=receipt_id, client=client, secure=False).partition(";")[0]

    def ask(self, head: RequestHead, world: Settings, **options: object) -> Conversation[Decision]:
        return talk(terms(receipts=self.RECEIPTS, **options), head=head, world=world)

    def test_a_use_is_claimed_and_neither_body_nor_token_is_looked_at(self) -> None:
        world = settings()
        conversation = self.ask(self.head(self.cookie(world), x_caputchin_token=TOKEN), world)
        claim = conversation.expect(Claim, ClaimResult.WON)
        assert claim.until == world.verification.clock.now() + 360
        decision = conversation.end()
        assert (decision.reason, decision.admitted, decision.verdict) == (Reason.RECEIPT, True, None)

    def test_the_next_use_is_another_claim(self) -> None:
        world = settings()
        conversation = self.ask(self.head(self.cookie(world)), world)
        first = conversation.expect(Claim, ClaimResult.LOST)
        second = conversation.expect(Claim, ClaimResult.WON)
        assert first.key != second.key
        assert conversation.end().reason is Reason.RECEIPT

    @pytest.mark.parametrize(
        "claims",
        [
            (ClaimResult.LOST, ClaimResult.LOST),
            (ClaimResult.STORE_DOWN,),
            (ClaimResult.LOST, ClaimResult.STORE_DOWN),
        ],
    )
    @pytest.mark.parametrize("admit_outages", [False, True])
    def test_without_a_use_the_request_needs_a_token(
        self, claims: tuple[ClaimResult, ...], admit_outages: bool
    ) -> None:
        for content, reason in ((b"name=Ann", Reason.TOKEN_MISSING), (body(CAPUTCHIN), Reason.VERIFIED)):
            world = settings()
            conversation = self.ask(self.head(self.cookie(world)), world, admit_outages=admit_outages)
            for claim in claims:
                conversation.expect(Claim, claim)
            send(conversation, content)
            if reason is Reason.VERIFIED:
                conversation.expect(Call, reply(success=True))
            assert conversation.end().reason is reason

    @pytest.mark.parametrize("issued_to", ["198.51.100.7", None])
    def test_the_receipt_of_another_client_is_not_even_claimed(self, issued_to: str | None) -> None:
        world = settings()
        conversation = self.ask(self.head(self.cookie(world, issued_to)), world)
        send(conversation, b"name=Ann")
        assert conversation.end().reason is Reason.TOKEN_MISSING

    def test_clients_without_an_address_share_what_they_are_given(self) -> None:
        world = settings()
        conversation = self.ask(self.head(self.cookie(world, None), peer=None), world)
        conversation.expect(Claim, ClaimResult.WON)
        assert conversation.end().reason is Reason.RECEIPT

    def test_a_client_is_its_network(self) -> None:
        world = settings()
        conversation = self.ask(self.head(self.cookie(world, "2001:db8::/64"), peer="2001:db8::77"), world)
        conversation.expect(Claim, ClaimResult.WON)
        assert conversation.end().reason is Reason.RECEIPT

    def test_an_expired_receipt_is_no_receipt(self) -> None:
        watch = Watch()
        world = settings(watch=watch)
        head = self.head(self.cookie(world))
        watch.time += 120
        conversation = self.ask(head, world)
        send(conversation, b"name=Ann")
        assert conversation.end().reason is Reason.TOKEN_MISSING

    def test_the_log_gets_the_same_word_for_each_use_of_a_receipt_and_never_the_receipt(self) -> None:
        world = settings()
        digests = set()
        for claims in ((ClaimResult.WON,), (ClaimResult.LOST, ClaimResult.WON)):
            conversation = self.ask(self.head(self.cookie(world)), world)
            for claim in claims:
                conversation.expect(Claim, claim)
            digests.add(conversation.end().token_digest)
        (digest,) = digests
        assert digest is not None
        assert len(digest) == 8
        assert digest not in self.cookie(world)

    VERIFIED: ClassVar[Decision] = Decision(Reason.VERIFIED, verdict=Passed("caputchin"))

    def ruled(self, decision: Decision, *, report_only: bool = False, **options: object) -> str | None:
        world = replace(settings(), report_only=report_only)
        match rule_on(decision, self.head(), terms(receipts=self.RECEIPTS, **options), world):
            case Admit(set_cookie=cookie):
                return cookie
            case _:
                return None

    @pytest.mark.parametrize("options", [{}, {"report_only": True}, {"on_refuse": "pass"}])
    def test_a_verified_token_earns_a_receipt(self, options: dict[str, Any]) -> None:
        cookie = self.ruled(self.VERIFIED, **options)
        assert cookie is not None
        now = settings().verification.clock.now()
        assert self.RECEIPTS.check([cookie.partition(";")[0]], now=now, client=self.HOME) is not None

    @pytest.mark.parametrize(
        "decision",
        [
            *(Decision(reason) for reason in Reason if reason is not Reason.VERIFIED),
            Decision(Reason.VERIFIED, verdict=Passed("procaptcha", details={"provider_fail_open": True})),
        ],
        ids=lambda decision: decision.reason,
    )
    @pytest.mark.parametrize("options", [{}, {"report_only": True}, {"on_refuse": "pass"}])
    def test_nothing_else_earns_one(self, decision: Decision, options: dict[str, Any]) -> None:
        assert self.ruled(decision, **options) is None

    def test_a_route_without_receipts_gives_none_and_looks_at_none(self) -> None:
        world = settings()
        ruling = rule_on(self.VERIFIED, self.head(), terms(), world)
        assert isinstance(ruling, Admit)
        assert ruling.set_cookie is None
        conversation = talk(terms(), head=self.head(self.cookie(world)), world=world)
        send(conversation, b"name=Ann")
        assert conversation.end().reason is Reason.TOKEN_MISSING

    @pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True), ("HTTPS-over-what", False)])
    def test_over_https_the_cookie_is_for_https_alone(self, scheme: str, secure: bool) -> None:
        head = replace(self.head(), scheme=scheme)
        ruling = rule_on(self.VERIFIED, head, terms(receipts=self.RECEIPTS), settings())
        assert isinstance(ruling, Admit)
        assert ruling.set_cookie is not None
        assert ruling.set_cookie.endswith("; Secure") == secure
        assert ruling.set_cookie not in repr(ruling)
