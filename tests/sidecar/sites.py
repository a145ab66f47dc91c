"""Ordinary sites of three frameworks, which know of no gate.

GET  /            a page with two cookies
GET  /there       a redirect to /
POST /upload      a file in a form: its length and digest
POST /raw         a body: its length and digest
GET  /download    some megabytes, with ranges where the framework does that by itself
GET  /events      three events, with some time between
GET  /empty       204
GET  /broken      the application fails
POST /contact     guarded by the sidecar: tells the verdict
/chat             echoes over a WebSocket (FastAPI)
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import path
from fastapi import FastAPI, Request, UploadFile, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from flask import Flask, Response, make_response, redirect, request, send_file

PAGE = "<!doctype html><title>A shop</title><p>Grüße" + "x" * 5000
CONTENT = bytes(range(256)) * 12_000
EVENTS = 3


def told(body: bytes) -> str:
    return f"{len(body)} {hashlib.sha256(body).hexdigest()}"


def events() -> Iterator[bytes]:
    for number in range(EVENTS):
        yield f"data: {number}\n\n".encode()
        time.sleep(0.2)


def verdict(headers: Any) -> str:
    return " ".join(headers.get(f"X-Caputchin-{name}", "none") for name in ("Verdict", "Reason", "Provider"))


# Flask

flask = Flask("site")


@flask.get("/")
def flask_page() -> Response:
    response = make_response(PAGE)
    response.set_cookie("a", "b")
    response.set_cookie("c", "d", httponly=True)
    return response


@flask.get("/there")
def flask_redirect() -> Any:
    return redirect("/")


@flask.post("/upload")
def flask_upload() -> str:
    return told(request.files["file"].read())


@flask.post("/raw")
def flask_raw() -> str:
    return told(request.get_data())


@flask.get("/download")
def flask_download() -> Any:
    return send_file(BytesIO(CONTENT), mimetype="application/octet-stream", conditional=True, etag="x")


@flask.get("/events")
def flask_events() -> Response:
    return Response(events(), mimetype="text/event-stream")


@flask.get("/empty")
def flask_empty() -> Any:
    return "", 204


@flask.get("/broken")
def flask_broken() -> str:
    raise RuntimeError("the application fails")


@flask.post("/contact")
def flask_contact() -> str:
    return verdict(request.headers)


# Django

settings.configure(SECRET_KEY="of the tests", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None)
django.setup()


def django_page(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(PAGE)
    response.set_cookie("a", "b")
    response.set_cookie("c", "d", httponly=True)
    return response


def django_broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the application fails")


urlpatterns = [
    path("", django_page),
    path("there", lambda request: HttpResponseRedirect(request.build_absolute_uri("/"))),
    path("upload", lambda request: HttpResponse(told(request.FILES["file"].read()))),
    path("raw", lambda request: HttpResponse(told(request.body))),
    path("download", lambda request: HttpResponse(CONTENT, content_type="application/octet-stream")),
    path("events", lambda request: StreamingHttpResponse(events(), content_type="text/event-stream")),
    path("empty", lambda request: HttpResponse(status=204)),
    path("broken", django_broken),
    path("contact", lambda request: HttpResponse(verdict(request.headers))),
]
django_site = get_wsgi_application()

# FastAPI

fastapi = FastAPI(openapi_url=None)


@fastapi.get("/")
async def fastapi_page() -> HTMLResponse:
    response = HTMLResponse(PAGE)
    response.set_cookie("a", "b")
    response.set_cookie("c", "d", httponly=True)
    return response


@fastapi.get("/there")
async def fastapi_redirect(request: Request) -> RedirectResponse:
    return RedirectResponse(request.url_for("fastapi_page"))


@fastapi.post("/upload")
async def fastapi_upload(file: UploadFile) -> PlainTextResponse:
    return PlainTextResponse(told(await file.read()))


@fastapi.post("/raw")
async def fastapi_raw(request: Request) -> PlainTextResponse:
    return PlainTextResponse(told(await request.body()))


@fastapi.get("/download")
async def fastapi_download() -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(CONTENT), 50_000):
            yield CONTENT[start : start + 50_000]

    return StreamingResponse(pieces(), media_type="application/octet-stream")


@fastapi.get("/events")
async def fastapi_events() -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(EVENTS):
            yield f"data: {number}\n\n".encode()
            await asyncio.sleep(0.2)

    return StreamingResponse(pieces(), media_type="text/event-stream")


@fastapi.get("/empty", status_code=204)
async def fastapi_empty() -> None:
    return None


@fastapi.get("/broken")
async def fastapi_broken() -> None:
    raise RuntimeError("the application fails")


@fastapi.post("/contact")
async def fastapi_contact(request: Request) -> PlainTextResponse:
    return PlainTextResponse(verdict(request.headers))


@fastapi.websocket("/chat")
async def fastapi_chat(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass
