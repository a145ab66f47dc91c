"""What visitors and pages can rely on when `captcha.js` guards a form (design.md 3, captchaapi.md 9)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from challenge_site import WIDGET, ChallengeSite
from playwright.sync_api import Page, expect

from tests.browser.contrast import contrasts

OpenForm = Callable[..., Page]
STATUS = "[data-captcha-status]"


def state(page: Page, now: str) -> None:
    expect(page.locator(STATUS).first).to_have_attribute("data-captcha-state", now)


def send(page: Page) -> None:
    page.get_by_role("button", name="Send").first.click()


def admitted(page: Page) -> None:
    expect(page.get_by_role("heading")).to_have_text("admitted")


def test_the_widget_is_shipped_in_less_than_8_kilobytes() -> None:
    assert len(WIDGET.read_bytes()) < 8192


def test_a_form_is_submitted_natively_with_a_token_and_the_button_that_was_pressed(
    open_form: OpenForm, site: ChallengeSite
) -> None:
    page = open_form()
    page.get_by_label("Message").fill("a & b = ü")
    state(page, "ready")
    send(page)
    admitted(page)
    (submission,) = site.submissions
    assert submission.path == "/contact"
    assert submission.one("message") == "a & b = ü"
    assert submission.one("act") == "send"


def test_a_submission_waits_for_its_token_and_keeps_the_button_that_was_pressed(
    open_form: OpenForm, site: ChallengeSite
) -> None:
    page = open_form()
    page.evaluate("document.forms[0].requestSubmit(document.querySelector('[value=send]'))")
    admitted(page)
    (submission,) = site.submissions
    assert submission.one("act") == "send"
    assert len(site.challenges) == 1


def test_pressing_the_button_twice_while_the_token_is_made_submits_once(
    open_form: OpenForm, site: ChallengeSite
) -> None:
    page = open_form()
    page.evaluate("const press = () => document.querySelector('[value=send]').click(); press(); press()")
    admitted(page)
    assert len(site.submissions) == len(site.challenges) == 1


def test_nothing_is_fetched_before_the_visitor_touches_the_form(open_form: OpenForm, site: ChallengeSite) -> None:
    page = open_form(after="<p>Elsewhere</p>")
    state(page, "waiting")
    page.get_by_text("Elsewhere").click()
    page.keyboard.press("Shift")
    state(page, "waiting")
    assert site.challenges == []


@pytest.mark.parametrize("event", ["pointerdown", "keydown", "touchstart", "input"])
def test_the_first_interaction_of_any_kind_fetches_one_challenge(
    open_form: OpenForm, site: ChallengeSite, event: str
) -> None:
    page = open_form()
    page.get_by_label("Message").dispatch_event(event)
    state(page, "ready")
    page.get_by_label("Message").dispatch_event(event)
    state(page, "ready")
    assert len(site.challenges) == 1


@pytest.mark.parametrize("place", ["script", "form"])
def test_eager_forms_fetch_at_load(open_form: OpenForm, site: ChallengeSite, place: str) -> None:
    page = open_form(**{place: 'data-preload="eager"'})
    state(page, "ready")
    assert len(site.challenges) == 1


def test_the_form_wins_over_the_script(open_form: OpenForm, site: ChallengeSite) -> None:
    page = open_form(
        script='data-preload="eager" data-site-key="a" data-action="x" data-field="y"',
        form='data-preload="lazy" data-site-key="b" data-action="contact" data-field="proof"',
    )
    state(page, "waiting")
    send(page)
    page.wait_for_url("**/contact")
    assert site.challenges == [{"site_key": "b", "action": "contact"}]
    (submission,) = site.submissions
    assert site.judge(submission.one("proof")) == "admitted"
    assert submission.all("caputchin-token") == []


def test_without_a_site_key_none_is_sent(open_form: OpenForm, site: ChallengeSite) -> None:
    page = open_form(form='data-preload="eager"')
    state(page, "ready")
    assert site.challenges == [{}]


def test_a_hidden_input_of_the_page_is_reused(open_form: OpenForm, site: ChallengeSite) -> None:
    page = open_form(inside='<input type="hidden" name="caputchin-token">')
    send(page)
    admitted(page)
    assert len(site.submissions[0].all("caputchin-token")) == 1


# Proof of work, and where it is done

VECTORS = json.loads((Path(__file__).parent / "proof_of_work.json").read_text())
FROM_SCRIPT, FROM_BLOB, IN_THE_PAGE = "http", "blob", None
POLICIES = {
    "no policy": ({}, FROM_SCRIPT),
    "own scripts only": ({"Content-Security-Policy": "default-src 'self'; script-src 'self'"}, FROM_SCRIPT),
    "blob workers only": ({"Content-Security-Policy": "default-src 'self'; worker-src blob:"}, FROM_BLOB),
    "no workers": ({"Content-Security-Policy": "default-src 'self'; worker-src 'none'"}, IN_THE_PAGE),
    "trusted types": ({"Content-Security-Policy": "require-trusted-types-for 'script'"}, IN_THE_PAGE),
}


@pytest.mark.parametrize("policy", POLICIES)
def test_every_content_security_policy_that_lets_the_script_in_gets_right_solutions(
    open_form: OpenForm, site: ChallengeSite, policy: str
) -> None:
    headers, scheme = POLICIES[policy]
    site.answers.extend(
        (200, {"token": v["token"], "target": v["target"], "expires_at": site.now() + 120}) for v in VECTORS
    )
    page = open_form(headers=headers)
    answered: list[str] = []
    page.on("worker", lambda worker: answered.append(worker.url.split(":")[0]))
    solved = page.evaluate(
        "async times => { const all = [];"
        " while (times--) all.push(await caputchin.solve(document.forms[0])); return all }",
        len(VECTORS),
    )
    assert solved == [f"{v['token']}.{v['smallest_solution']}" for v in VECTORS]
    assert (answered[-1] if answered else None) == scheme


def test_the_page_stays_responsive_where_no_worker_may_run(open_form: OpenForm, site: ChallengeSite) -> None:
    # The smallest solution is 524143: half a second of work for the only thread there is.
    long_work = {"token": "a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6", "target": 3000, "expires_at": site.now() + 120}
    site.answers.append((200, long_work))
    page = open_form(headers=POLICIES["no workers"][0])
    token, pauses = page.evaluate(
        """async () => {
            let pauses = 0
            addEventListener("caputchin:state", event => {
                const watch = () => { pauses++; setTimeout(watch) }
                if (event.detail.state == "solving") watch()
            })
            return [await caputchin.solve(document.forms[0]), pauses]
        }"""
    )
    assert token == f"{long_work['token']}.524143"
    assert pauses > 5


def test_a_script_from_another_origin_solves_too(site: ChallengeSite, page: Page) -> None:
    other = site.url.replace("127.0.0.1", "localhost")
    page.goto(site.serve("/", f'<form data-captcha></form><script src="{other}/.caputchin/captcha.js"></script>'))
    page.route("**/challenge", lambda route: route.fulfill(status=200, json=site.challenge({})[1]))
    token = page.evaluate("caputchin.solve(document.forms[0])")
    assert site.judge(token) == "admitted"


# Events and script


def test_in_event_mode_the_page_gets_the_token_and_nothing_is_submitted(
    open_form: OpenForm, site: ChallengeSite
) -> None:
    page = open_form(form='data-mode="event"')
    page.evaluate("window.solved = []; addEventListener('caputchin:solved', event => solved.push(event.detail))")
    send(page)
    page.wait_for_function("solved.length == 1")
    send(page)
    page.wait_for_function("solved.length == 2")
    first, second = page.evaluate("solved")
    assert first["field"] == "caputchin-token"
    assert [site.judge(detail["token"]) for detail in (first, second)] == ["admitted", "admitted"]
    assert site.submissions == []


def test_every_change_of_state_is_an_event(open_form: OpenForm, site: ChallengeSite) -> None:
    page = open_form(
        head="<script>window.seen = []; addEventListener('caputchin:state', e => seen.push(e.detail.state))</script>"
    )
    page.get_by_label("Message").fill("x")
    state(page, "ready")
    assert page.evaluate("seen") == ["waiting", "idle", "solving", "ready"]


def test_solve_never_hands_out_a_token_twice(open_form: OpenForm, site: ChallengeSite) -> None:
    page = open_form(form='data-preload="eager"')
    state(page, "ready")
    tokens = page.evaluate("Promise.all([1, 2, 3].map(() => caputchin.solve(document.forms[0])))")
    assert [site.judge(token) for token in tokens] == ["admitted"] * 3
    assert len(site.challenges) == 3


def test_reset_discards_the_token_and_the_next_submission_uses_the_fresh_one(
    open_form: OpenForm, site: ChallengeSite
) -> None:
    page = open_form(form='data-preload="eager"')
    state(page, "ready")
    fresh = page.evaluate("caputchin.reset(document.forms[0])")
    send(page)
    admitted(page)
    assert site.submissions[0].one("caputchin-token") == fresh
    assert len(site.challenges) == 2


def test_other_submit_listeners_run_once_and_see_the_token(open_form: OpenForm, site: ChallengeSite) -> None:
    page = open_form(
        after="<script>window.seen = []; document.forms[0].addEventListener('submit', event => {"
        " event.preventDefault(); seen.push(new FormData(event.target).get('caputchin-token')) })</script>"
    )
    send(page)
    page.wait_for_function("seen.length == 1")
    send(page)
    page.wait_for_function("seen.length == 2")
    assert [site.judge(token) for token in page.evaluate("seen")] == ["admitted", "admitted"]


def test_a_form_that_stays_on_the_page_has_one_field_for_its_tokens(open_form: OpenForm, site: ChallengeSite) -> None:
    page = open_form(
        after="<script>window.seen = []; document.forms[0].addEventListener('submit', event => {"
        " event.preventDefault(); seen.push(...new FormData(event.target).getAll('caputchin-token')) })</script>"
    )
    for number in (1, 2, 3):
        page.get_by_label("Message").fill(f"message {number}")
        state(page, "ready")
        send(page)
        assert page.evaluate("seen.length") == number
    assert [site.judge(token) for token in page.evaluate("seen")] == ["admitted"] * 3


def test_validation_still_stops_a_submission(open_form: OpenForm, site: ChallengeSite) -> None:
    page = open_form(inside='<label>Mail <input name="mail" required></label>')
    send(page)
    state(page, "ready")
    assert site.submissions == []
    page.get_by_label("Mail").fill("a@b.example")
    send(page)
    admitted(page)


def test_novalidate_formaction_and_target_are_kept(open_form: OpenForm, site: ChallengeSite) -> None:
    page = open_form(
        form="novalidate",
        inside='<input name="mail" required><button formaction="/elsewhere" formtarget="new">Preview</button>',
    )
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Preview").click()
    admitted(popup.value)
    send(page)
    admitted(page)
    assert [submission.path for submission in site.submissions] == ["/elsewhere", "/contact"]
    assert len(site.challenges) == 2


def test_a_button_outside_the_form_submits_it(open_form: OpenForm, site: ChallengeSite) -> None:
    page = open_form(after='<button form="contact" name="act" value="outside">Outside</button>')
    page.get_by_role("button", name="Outside").click()
    admitted(page)
    assert site.submissions[0].one("act") == "outside"


def test_a_form_that_closes_its_dialog_is_left_alone(site: ChallengeSite, page: Page) -> None:
    page.goto(
        site.serve(
            "/",
            '<script src="/.caputchin/captcha.js" defer></script><dialog><form method="post" action="/contact"'
            ' data-captcha><button formmethod="dialog" value="no">Close</button><button>Send</button></form></dialog>'
            "<script>document.querySelector('dialog').showModal()</script>",
        )
    )
    page.get_by_role("button", name="Close").click()
    assert page.evaluate("document.querySelector('dialog').returnValue") == "no"
    assert site.submissions == []
    page.evaluate("document.querySelector('dialog').showModal()")
    send(page)
    admitted(page)


def test_a_form_added_later_is_guarded(open_form: OpenForm, site: ChallengeSite) -> None:
    page = open_form()
    page.evaluate(
        """document.forms[0].outerHTML = '<form method="post" action="/later" data-captcha data-preload="eager">'
            + '<span data-captcha-status></span><button>Send</button></form>'"""
    )
    state(page, "ready")
    send(page)
    admitted(page)
    assert site.submissions[0].path == "/later"


@pytest.mark.parametrize("place", ["inside", "after"])
def test_a_field_guards_its_form_where_the_form_s_own_tag_is_out_of_reach(
    site: ChallengeSite, page: Page, place: str
) -> None:
    field = '<input type="hidden" name="caputchin-token" data-captcha{}>'
    inside, after = (field.format(""), "") if place == "inside" else ("", field.format(' form="contact"'))
    form = f'<form id="contact" method="post" action="/contact">{inside}<button>Send</button></form>{after}'
    page.goto(site.serve("/", f'<script src="/.caputchin/captcha.js" defer></script>{form}'))
    send(page)
    admitted(page)
    assert len(site.submissions) == 1


def test_two_forms_have_their_own_tokens_and_states(open_form: OpenForm, site: ChallengeSite) -> None:
    page = open_form(
        after='<form data-captcha data-preload="eager"><input name="q"><span data-captcha-status></span></form>'
    )
    expect(page.locator(STATUS).nth(1)).to_have_attribute("data-captcha-state", "ready")
    state(page, "waiting")
    tokens = page.evaluate("Promise.all([...document.forms].map(caputchin.solve))")
    assert [site.judge(token) for token in tokens] == ["admitted", "admitted"]


def test_many_forms_at_once_are_solved_where_no_worker_may_run(open_form: OpenForm, site: ChallengeSite) -> None:
    page = open_form(headers=POLICIES["no workers"][0], after="<form data-captcha></form>" * 5)
    tokens = page.evaluate("Promise.all([...document.forms].map(caputchin.solve))")
    assert [site.judge(token) for token in tokens] == ["admitted"] * 6


def test_the_token_can_travel_in_a_cookie(open_form: OpenForm, site: ChallengeSite) -> None:
    page = open_form(script='data-carry="cookie"')
    send(page)
    admitted(page)
    (submission,) = site.submissions
    assert submission.cookies["caputchin-token"] == submission.one("caputchin-token")
    (cookie,) = page.context.cookies()
    assert cookie["sameSite"] == "Strict"
    assert cookie["path"] == "/"
    assert 0 < cookie["expires"] - site.now() <= 121


def test_no_cookie_is_set_unasked(open_form: OpenForm, site: ChallengeSite) -> None:
    page = open_form()
    send(page)
    admitted(page)
    assert page.context.cookies() == []


# Time


@pytest.mark.parametrize("clock_offset", [0, 86_400, -86_400], ids=["right", "a day ahead", "a day behind"])
def test_a_token_that_expired_is_solved_again_whatever_the_servers_clock_says(
    open_form: OpenForm, site: ChallengeSite, page: Page, clock_offset: int
) -> None:
    site.clock_offset = clock_offset
    page.clock.install()
    open_form(form='data-preload="eager"')
    state(page, "ready")
    page.clock.fast_forward(100_000)
    page.get_by_label("Message").fill("still fresh")
    assert len(site.challenges) == 1
    page.clock.fast_forward(20_000)
    page.evaluate("document.forms[0].requestSubmit()")
    admitted(page)
    assert len(site.challenges) == 2


def test_going_back_to_the_form_gives_the_next_submission_a_fresh_token(
    open_form: OpenForm, site: ChallengeSite
) -> None:
    page = open_form()
    page.evaluate("window.kept = true")
    for number in (1, 2):
        send(page)
        admitted(page)
        page.go_back(wait_until="commit")
        assert page.evaluate("window.kept"), "this test is about the back/forward cache"
        state(page, "waiting")
        assert len(site.challenges) == number
    assert [submission.verdict for submission in site.submissions] == ["admitted", "admitted"]


def test_too_many_requests_count_down_and_then_start_again(
    open_form: OpenForm, site: ChallengeSite, page: Page
) -> None:
    site.answers.append((429, {"success": False, "error_code": "rate_limited", "retry_after": 3}))
    page.clock.install()
    open_form(head="<script>addEventListener('caputchin:state', event => window.detail = event.detail)</script>")
    page.clock.pause_at(page.evaluate("Date.now()") + 10_000)
    page.get_by_label("Message").dispatch_event("pointerdown")
    status = page.locator(STATUS)
    expect(status).to_have_text("Please try again in 3 seconds")
    expect(status).to_have_attribute("aria-live", "polite")
    assert page.evaluate("detail") == {"state": "rate_limited", "retryAfter": 3}
    page.clock.run_for(1000)
    expect(status).to_have_text("Please try again in 2 seconds")
    expect(status).to_have_attribute("aria-live", "off")
    send(page)
    page.get_by_label("Message").dispatch_event("input")
    assert len(site.challenges) == 1, "the countdown is respected"
    page.clock.run_for(2000)
    state(page, "ready")
    assert len(site.challenges) == 2
    assert site.submissions == []


# When no token can be had

BROKEN = {
    "server error": (503, {"success": False, "error_code": "unavailable"}),
    "wrong site key": (422, {"success": False, "error_code": "invalid_site_key"}),
    "not json": (200, "<h1>Log in</h1>"),
    "null": (200, None),
    "no token": (200, {"target": 1, "expires_at": 0}),
    "no target": (200, {"token": "a" * 32, "expires_at": 0}),
    "a token too long for one block": (200, {"token": "a" * 44, "target": 2**32 - 1, "expires_at": 0}),
    "a token with markup": (200, {"token": "<" * 32, "target": 2**32 - 1, "expires_at": 0}),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_failure_is_shown_and_the_next_submission_tries_again(
    open_form: OpenForm, site: ChallengeSite, fault: str
) -> None:
    site.answers.append(BROKEN[fault])
    page = open_form()
    page.evaluate("document.forms[0].requestSubmit()")
    state(page, "error")
    expect(page.locator(STATUS)).to_have_text("Verification unavailable")
    page.get_by_label("Message").fill("typing does not ask again")
    assert len(site.challenges) == 1
    assert site.submissions == []
    send(page)
    admitted(page)


def test_without_a_status_element_a_failure_goes_to_the_server_which_can_explain_it(
    open_form: OpenForm, site: ChallengeSite
) -> None:
    site.answers.append(BROKEN["server error"])
    page = open_form()
    page.evaluate("document.querySelector('[data-captcha-status]').remove()")
    page.evaluate("document.forms[0].requestSubmit()")
    expect(page.get_by_role("heading")).to_have_text("missing")


def test_a_refused_connection_is_an_error_not_a_hang(open_form: OpenForm, site: ChallengeSite) -> None:
    page = open_form()
    page.route("**/challenge", lambda route: route.abort())
    problem = page.evaluate("caputchin.solve(document.forms[0]).catch(error => error.message)")
    assert problem == "error"
    state(page, "error")


def test_a_puzzle_nobody_can_solve_ends_with_its_lifetime(open_form: OpenForm, site: ChallengeSite) -> None:
    site.target, site.lifetime = 0, 1
    page = open_form(headers=POLICIES["no workers"][0])
    assert page.evaluate("caputchin.solve(document.forms[0]).catch(error => error.message)") == "error"


def test_a_worker_that_never_answers_is_replaced(open_form: OpenForm, site: ChallengeSite, page: Page) -> None:
    page.clock.install()
    open_form(
        head="<script>window.asked = 0; window.Worker = class { constructor() { asked++ } terminate() {} }</script>"
    )
    page.evaluate("void (window.token = caputchin.solve(document.forms[0]))")
    for asked in (1, 2):
        page.wait_for_function(f"window.asked == {asked}")
        page.clock.fast_forward(5000)
    assert site.judge(page.evaluate("token")) == "admitted"


# Words and accessibility

LABELS = {
    "en": ("Protection standby", "Protection active", "Verification unavailable"),
    "de": ("Schutz in Bereitschaft", "Schutz aktiv", "Prüfung nicht verfügbar"),
    "fr": ("Protection en veille", "Protection active", "Vérification indisponible"),
    "es": ("Protección en espera", "Protección activa", "Verificación no disponible"),
    "it": ("Protezione in attesa", "Protezione attiva", "Verifica non disponibile"),
    "nl": ("Beveiliging stand-by", "Beveiliging actief", "Controle niet beschikbaar"),
    "pl": ("Ochrona w gotowości", "Ochrona aktywna", "Weryfikacja niedostępna"),
    "pt": ("Proteção em espera", "Proteção ativa", "Verificação indisponível"),
}


@pytest.mark.parametrize("language", LABELS)
def test_the_states_are_told_in_the_language_of_the_page(
    open_form: OpenForm, site: ChallengeSite, language: str
) -> None:
    site.answers.extend([site.challenge({}), (500, {}), (429, {"retry_after": 42})])
    page = open_form(lang=f"{language}-XX")
    seen = [page.locator(STATUS).inner_text()]
    for _ in range(3):
        page.evaluate("caputchin.reset(document.forms[0]).catch(() => {})")
        seen.append(page.locator(STATUS).inner_text())
    assert tuple(seen[:3]) == LABELS[language]
    assert "42" in seen[3]


@pytest.mark.parametrize(
    ("parts", "label"),
    [
        ({"lang": "sv"}, "Protection standby"),
        ({"lang": ""}, "Protection standby"),
        ({"lang": "de", "script": 'data-locale="fr"'}, "Protection en veille"),
        ({"script": 'data-locale="fr"', "form": 'data-locale="it"'}, "Protezione in attesa"),
    ],
)
def test_a_locale_of_form_or_script_wins_and_english_is_the_rest(
    open_form: OpenForm, parts: dict[str, str], label: str
) -> None:
    expect(open_form(**parts).locator(STATUS)).to_have_text(label)


def test_the_status_is_a_polite_live_region(open_form: OpenForm) -> None:
    status = open_form(form='data-preload="eager"').locator(STATUS)
    expect(status).to_have_attribute("data-captcha-state", "ready")
    expect(status).to_have_role("status")
    expect(status).to_have_attribute("aria-live", "polite")


ROOMS = {
    "white": "color: #000; background: #fff",
    "grey on white": "color: #6b7280; background: #fff",
    "white on grey": "color: #fff; background: #374151",
    "grey on black": "color: #9ca3af; background: #111827",
    "black": "color: #fff; background: #000",
    "the browser's own, in the dark": "color-scheme: dark",
}


@pytest.mark.parametrize("room", ROOMS)
def test_every_state_has_a_colour_that_can_be_read_on_light_and_dark_pages(
    open_form: OpenForm, site: ChallengeSite, room: str
) -> None:
    site.answers.extend([site.challenge({}), (500, {}), (429, {"retry_after": 42})])
    page = open_form(head=f"<style>html {{ {ROOMS[room]} }}</style>")
    shown = contrasts(page, STATUS)
    colours = {page.locator(STATUS).evaluate("place => getComputedStyle(place).color")}
    for _ in range(3):
        page.evaluate("caputchin.reset(document.forms[0]).catch(() => {})")
        shown |= contrasts(page, STATUS)
        colours.add(page.locator(STATUS).evaluate("place => getComputedStyle(place).color"))
    assert len(shown) == len(colours) == 4
    assert min(shown.values()) >= 4.5, shown


def test_a_page_keeps_its_own_colours_if_it_asks_for_that(open_form: OpenForm) -> None:
    status = open_form(form='data-preload="eager"', status="data-captcha-no-color").locator(STATUS)
    expect(status).to_have_attribute("data-captcha-state", "ready")
    expect(status).not_to_have_attribute("style", "color")


def test_no_status_element_is_ever_inserted(open_form: OpenForm) -> None:
    page = open_form()
    page.evaluate("document.querySelector('[data-captcha-status]').remove()")
    page.evaluate("caputchin.solve(document.forms[0])")
    assert page.locator(STATUS).count() == 0


def test_loading_the_script_twice_changes_nothing(open_form: OpenForm, site: ChallengeSite) -> None:
    page = open_form(after='<script src="/.caputchin/captcha.js" defer></script>')
    send(page)
    admitted(page)
    assert len(site.challenges) == 1


def test_names_that_a_page_gives_to_its_elements_do_not_get_in_the_way(
    open_form: OpenForm, site: ChallengeSite
) -> None:
    names = ("form", "action", "method", "target", "submit", "id", "name", "status")
    page = open_form(inside="".join(f'<input name="{name}">' for name in names), head='<i id="caputchin"></i>')
    page.get_by_label("Message").fill("x")
    state(page, "ready")
    send(page)
    admitted(page)


MEMBERS = (
    *("matches", "closest", "dataset", "elements", "isConnected", "querySelector", "querySelectorAll", "method"),
    *("prepend", "dispatchEvent", "requestSubmit", "addEventListener", "call", "bind", "length"),
)


@pytest.mark.parametrize("name", MEMBERS)
def test_a_field_named_like_a_member_of_its_form_does_not_get_in_the_way(
    open_form: OpenForm, site: ChallengeSite, name: str
) -> None:
    page = open_form(inside=f'<input type="hidden" name="{name}" value="of the form">')
    page.get_by_label("Message").fill("x")
    state(page, "ready")
    # The token is late, so that the script submits the form.
    page.evaluate("caputchin.reset(document.forms[0]); document.querySelector('[value=send]').click()")
    admitted(page)
    assert site.submissions[0].one(name) == "of the form"


@pytest.mark.parametrize(
    "markup",
    [
        '<img name="currentScript" src="https://evil.example/x.png">',
        '<img name="querySelectorAll"><img name="createElement"><img name="documentElement"><img name="cookie">',
        '<form id="caputchin"><input name="solve"></form>',
        '<a id="caputchin"></a><a id="caputchin" name="solve"></a>',
        '<object id="caputchin"></object>',
    ],
    ids=lambda markup: markup[:30],
)
def test_markup_that_others_may_write_changes_nothing(open_form: OpenForm, site: ChallengeSite, markup: str) -> None:
    """A comment with such an image must not decide where challenges are asked for."""
    page = open_form(head=markup, form='data-carry="cookie"')
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("button", name="Send").click()
    admitted(page)
    assert len(site.challenges) == 1
    assert not [url for url in asked if "evil.example" in url]
