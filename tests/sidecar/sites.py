"""Ordinary sites of three frameworks, which know of no gate.

GET  /            a page with two cookies
GET  /there       a redirect to /
POST /upload      a file in a form: its length and digest
POST /raw         a body: its length and digest
GET  /download    some megabytes from memory
GET  /file        a file, with validators and ranges as far as the framework has them
GET  /large       many megabytes in pieces, without a length
GET  /events      three events, with some time between
GET  /empty       204
GET  /teapot      418
GET  /broken      the application fails
POST /contact     guarded by the sidecar: tells the verdict
/chat             echoes over a WebSocket (FastAPI; WSGI has none)
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import path
from django.views.decorators.http import condition
from fastapi import FastAPI, HTTPException, Request, UploadFile, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from flask import Flask, Response, abort, make_response, redirect, request, send_file

from tests.servers import ROOT

PAGE = "<!doctype html><title>A shop</title><p>Grüße" + "x" * 5000
CONTENT = bytes(range(256)) * 12_000
LARGE = 240  # pieces of 100,000 bytes
FILE = ROOT / "docs" / "demo.png"
EVENTS = 3


def told(body: bytes) -> str:
    return f"{len(body)} {hashlib.sha256(body).hexdigest()}"


def events() -> Iterator[bytes]:
    for number in range(EVENTS):
        yield f"data: {number}\n\n".encode()
        time.sleep(0.2)


def pieces() -> Iterator[bytes]:
    for number in range(LARGE):
        yield bytes([number]) * 100_000


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


@flask.get("/file")
def flask_file() -> Any:
    return send_file(FILE, conditional=True)


@flask.get("/large")
def flask_large() -> Response:
    return Response(pieces(), mimetype="application/octet-stream")


@flask.get("/teapot")
def flask_teapot() -> Any:
    abort(418)


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


@condition(lambda request: '"a-tag"', lambda request: datetime(2026, 1, 1, tzinfo=UTC))
def django_file(request: HttpRequest) -> FileResponse:
    return FileResponse(FILE.open("rb"))


def django_broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the application fails")


urlpatterns = [
    path("", django_page),
    path("there", lambda request: HttpResponseRedirect(request.build_absolute_uri("/"))),
    path("upload", lambda request: HttpResponse(told(request.FILES["file"].read()))),
    path("raw", lambda request: HttpResponse(told(request.body))),
    path("download", lambda request: HttpResponse(CONTENT, content_type="application/octet-stream")),
    path("file", django_file),
    path("large", lambda request: StreamingHttpResponse(pieces(), content_type="application/octet-stream")),
    path("teapot", lambda request: HttpResponse("short and stout", status=418)),
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


files = StaticFiles(directory=FILE.parent)


@fastapi.api_route("/file", methods=["GET", "HEAD"])
async def fastapi_file(request: Request) -> Any:
    return await files.get_response(FILE.name, request.scope)


@fastapi.get("/large")
async def fastapi_large() -> StreamingResponse:
    return StreamingResponse(pieces(), media_type="application/octet-stream")


@fastapi.get("/teapot")
async def fastapi_teapot() -> None:
    raise HTTPException(418)


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
