"""A FastAPI application with a sign-up form, guarded by one line at its end.

pip install caputchin-gate fastapi python-multipart uvicorn
uvicorn fastapi_newsletter:app --app-dir examples
"""

from html import escape
from typing import Annotated

from fastapi import FastAPI, Form
from fastapi.responses import HTMLResponse

from caputchin_gate import Gate
from caputchin_gate.asgi import GateMiddleware

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Newsletter</title>
<script src="/.caputchin/captcha.js" defer></script>
<h1>Newsletter</h1>
<p>{count} readers so far.</p>
<form method="post" action="/subscribe" data-captcha>
  <label>Your e-mail address <input name="email" type="email" required></label>
  <button>Subscribe</button>
  <span data-captcha-status></span>
  <noscript>This form needs JavaScript to tell you from a robot.</noscript>
</form>
</html>"""

api = FastAPI()
readers: set[str] = set()


@api.get("/", response_class=HTMLResponse)
async def page() -> str:
    return PAGE.format(count=len(readers))


@api.post("/subscribe", response_class=HTMLResponse)
async def subscribe(email: Annotated[str, Form()]) -> str:
    readers.add(email)
    return f"<!doctype html><title>Newsletter</title><h1>Welcome, {escape(email)}</h1>"


# Everything above is the application as it was.
gate = Gate(provider="caputchin", verification="in-process", protect=["POST /subscribe"])
app = GateMiddleware(api, gate=gate)
