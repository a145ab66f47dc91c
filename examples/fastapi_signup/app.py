"""A FastAPI application with three forms: sign-up, an invitation by htmx, and comments by fetch.

pip install caputchin-gate fastapi jinja2 python-multipart uvicorn
uvicorn app:app --app-dir examples/fastapi_signup

The invitation uses htmx if it is in static/htmx.min.js, and is an ordinary form else.
"""

from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Form, Request
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from pydantic import BaseModel

from caputchin_gate import Decision, Gate
from caputchin_gate.fastapi import install, require_human

HERE = Path(__file__).parent
templates = Jinja2Templates(HERE / "templates")
app = FastAPI()
app.mount("/static", StaticFiles(directory=HERE / "static"))
comments: list[str] = []

gate = Gate(provider="caputchin", verification="in-process")
install(app, gate)


@app.get("/")
async def page(request: Request) -> HTMLResponse:
    return templates.TemplateResponse(request, "page.html", {"comments": comments})


# An ordinary form, which shows its mistakes itself. A refusal is one of them: on_refuse="pass" lets the view run.
# Who was verified and then mistyped something need not be verified again: the receipt admits what is sent next.


@app.post("/signup")
async def sign_up(
    request: Request,
    decision: Annotated[Decision, Depends(require_human(on_refuse="pass", receipt="2m"))],
    email: Annotated[str, Form()] = "",
) -> HTMLResponse:
    if not decision.admitted:
        mistake, status = "We could not tell you from a robot. Please send the form once more.", 403
    elif "@" not in email:
        mistake, status = "An e-mail address has an @.", 422
    else:
        return templates.TemplateResponse(request, "welcome.html", {"email": email})
    values = {"email": email, "mistake": mistake, "comments": comments}
    return templates.TemplateResponse(request, "page.html", values, status_code=status)


# The same by htmx, without a receipt: the answer is the form itself, new, and the widget gets a new token for it.


@app.post("/invite")
async def invite(
    request: Request,
    decision: Annotated[Decision, Depends(require_human(on_refuse="pass"))],
    friend: Annotated[str, Form()] = "",
) -> HTMLResponse:
    if not decision.admitted:
        said = "We could not tell you from a robot. Please send the form once more."
    elif "@" not in friend:
        said = "An e-mail address has an @."
    else:
        said, friend = f"{friend} is invited.", ""
    return templates.TemplateResponse(request, "invitation.html", {"friend": friend, "said": said})


# A page that sends JSON with fetch. Refusals need nothing here: the gate answers before, with a problem document.


class Comment(BaseModel):
    text: str


@app.post("/comments", dependencies=[Depends(require_human)])
async def comment(comment: Comment) -> dict[str, int]:
    comments.append(comment.text)
    return {"comments": len(comments)}
