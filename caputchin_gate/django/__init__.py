"""At home in Django: the gate around the site or as a middleware, marked views, a form field.

    CAPUTCHIN_GATE = {"provider": {"kind": "caputchin", "verification": "in-process"}}      # the keys of gate.toml
    INSTALLED_APPS = ["caputchin_gate.django", ...]
    MIDDLEWARE = ["caputchin_gate.django.GateMiddleware", ...]      # or application = wrap(get_wsgi_application())

    @require_human                      # or @require_human(action="signup", receipt="2m")
    def sign_up(request): ...

    decision_of(request).reason

The rules of the marked views are known when the site starts. The admin's login is in `admin_login.py`, the permission
of Django REST framework in `rest_framework.py`, the form field in `forms.py`.
"""

from caputchin_gate.django.current import decision_of
from caputchin_gate.django.forms import CaptchaField, CaptchaWidget
from caputchin_gate.django.gates import site_gate
from caputchin_gate.django.marked import require_human
from caputchin_gate.django.middleware import GateMiddleware
from caputchin_gate.django.wrapped import wrap

__all__ = ["CaptchaField", "CaptchaWidget", "GateMiddleware", "decision_of", "require_human", "site_gate", "wrap"]
