"""A Django site with a contact form, guarded by one line at its end.

pip install caputchin-gate django gunicorn
gunicorn --chdir examples django_contact:application
"""

import secrets

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.urls import path
from django.utils.html import escape, format_html
from django.views.decorators.http import require_POST

from caputchin_gate import Gate
from caputchin_gate.wsgi import GateMiddleware

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Contact</title>
<script src="/.caputchin/captcha.js" defer></script>
<h1>Contact</h1>
<form method="post" action="/contact/" data-captcha>
  <input type="hidden" name="csrfmiddlewaretoken" value="{}">
  <p><label>Your message <textarea name="message" required></textarea></label></p>
  <button>Send</button>
  <span data-captcha-status></span>
  <noscript>This form needs JavaScript to tell you from a robot.</noscript>
</form>
</html>"""

settings.configure(
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_urlsafe(50),
)


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(format_html(PAGE, get_token(request)))


@require_POST
def contact(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<!doctype html><title>Contact</title><h1>Sent</h1><p>{escape(request.POST['message'])}</p>")


urlpatterns = [path("", page), path("contact/", contact)]

# Everything above is the site as it was.
gate = Gate(provider="caputchin", verification="in-process", protect=["POST /contact/"])
application = GateMiddleware(get_wsgi_application(), gate=gate)
