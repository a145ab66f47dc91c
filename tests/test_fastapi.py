"""At home in FastAPI: where operations are marked, what the OpenAPI document tells, how refusals are answered."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Form, HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.routing import Mount
from starlette.websockets import WebSocketDisconnect

from caputchin_gate import ConfigurationError, Decision, Gate
from caputchin_gate.fastapi import Refused, decision_of, install, require_human
from caputchin_gate.starlette import install as install_in_starlette
from tests import echo
from tests.test_doors import fresh_token


def make_gate(*protect: str) -> Gate:
    return echo.make_gate(protect, exempt=())


def tell(request: Request) -> str:
    decision = decision_of(request)
    return decision.reason if decision is not None else "no decision"


def client_of(app: Any, **more: Any) -> TestClient:
    return TestClient(app, raise_server_exceptions=False, headers={"Accept": "application/json"}, **more)


def post(app: Any, path: str, token: str | None = None) -> Any:
    return client_of(app).post(path, data={"name": "Ann", **({"caputchin-token": token} if token else {})})


def in_dependencies(app: FastAPI) -> str:
    app.api_route("/contact", methods=["GET", "POST"], dependencies=[Depends(require_human)])(tell)
    return "/contact"


def in_a_parameter(app: FastAPI) -> str:
    @app.api_route("/contact", methods=["GET", "POST"])
    def contact(decision: Annotated[Decision, Depends(require_human)]) -> str:
        return decision.reason if decision.reason != "unguarded" else "no decision"

    return "/contact"


def below_another_dependency(app: FastAPI) -> str:
    def visitor(decision: Annotated[Decision, Depends(require_human(receipt="1m"))]) -> None: ...

    app.api_route("/contact", methods=["GET", "POST"], dependencies=[Depends(visitor)])(tell)
    return "/contact"


def on_a_router(app: FastAPI) -> str:
    forms = APIRouter(prefix="/forms", dependencies=[Depends(require_human)])
    forms.get("/{form}/contact")(tell)
    forms.post("/{form}/contact")(tell)
    outer = APIRouter(prefix="/v1")
    outer.include_router(forms)
    app.include_router(outer, prefix="/api")
    return "/api/v1/forms/7/contact"


def where_a_router_is_included(app: FastAPI) -> str:
    forms = APIRouter()
    forms.api_route("/contact", methods=["GET", "POST"])(tell)
    app.include_router(forms, prefix="/forms", dependencies=[Depends(require_human)])
    return "/forms/contact"


def in_a_mounted_application(app: FastAPI) -> str:
    shop = FastAPI()
    in_dependencies(shop)
    app.mount("/shop", shop)
    return "/shop/contact"


def twice(app: FastAPI) -> str:
    router = APIRouter(dependencies=[Depends(require_human)])
    mark = Depends(require_human(receipt="1m"))
    router.api_route("/contact", methods=["GET", "POST"], dependencies=[mark])(tell)
    app.include_router(router)
    return "/contact"


PLACES = (
    in_dependencies,
    in_a_parameter,
    below_another_dependency,
    on_a_router,
    where_a_router_is_included,
    in_a_mounted_application,
    twice,
)


@pytest.mark.parametrize("installed_first", [True, False])
@pytest.mark.parametrize("place", PLACES)
def test_a_marked_operation_asks_for_a_token_wherever_the_mark_stands(place: Any, installed_first: bool) -> None:
    app = FastAPI()
    if installed_first:
        install(app, make_gate())
    path = place(app)
    if not installed_first:
        install(app, make_gate())
    assert post(app, path).json()["error-codes"] == ["missing-input-response"]
    token = fresh_token()
    assert post(app, path, token).json() == "verified"
    assert post(app, path, token).status_code == 403
    assert client_of(app).get(path).json() == "no decision"


def test_a_fastapi_application_mounted_in_a_starlette_one_is_found() -> None:
    shop = FastAPI()
    path = on_a_router(shop)
    app = Starlette(routes=[Mount("/shop", app=shop)])
    install_in_starlette(app, make_gate())
    assert post(app, f"/shop{path}").status_code == 403
    assert post(app, f"/shop{path}", fresh_token()).json() == "verified"


def test_the_check_comes_before_the_body_is_parsed() -> None:
    app = FastAPI()
    install(app, make_gate())

    @app.post("/contact", dependencies=[Depends(require_human)])
    def contact(age: Annotated[int, Form()]) -> int:
        return age

    assert post(app, "/contact").status_code == 403
    assert post(app, "/contact", fresh_token()).status_code == 422


def test_the_decision_is_made_on_the_event_loop() -> None:
    """A dependency that is no coroutine function would wait for a thread."""
    from fastapi.dependencies.models import Dependant

    dependant: Any = Dependant(call=require_human)
    try:
        from fastapi.dependencies.models import _is_coroutine_callable

        assert _is_coroutine_callable(require_human)
    except ImportError:
        assert dependant.is_coroutine_callable


# The OpenAPI document


@pytest.mark.parametrize("installed_first", [True, False])
def test_the_document_tells_what_a_marked_operation_needs_and_how_it_refuses(installed_first: bool) -> None:
    app = FastAPI()
    if installed_first:
        install(app, make_gate())
    path = on_a_router(app).replace("/7/", "/{form}/")
    app.post("/open")(tell)
    if not installed_first:
        install(app, make_gate())
    document = client_of(app).get("/openapi.json").json()
    scheme = document["components"]["securitySchemes"]["captcha"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "X-Caputchin-Token")
    operation = document["paths"][path]["post"]
    assert operation["security"] == [{"captcha": []}]
    for status in ("400", "403", "503"):
        assert "application/problem+json" in operation["responses"][status]["content"]
    assert set(document["paths"][path]["get"]["responses"]) == {"200"}
    assert set(document["paths"]["/open"]["post"]["responses"]) == {"200"}
    assert "security" not in document["paths"]["/open"]["post"]


def test_the_document_keeps_what_an_operation_says_of_its_own() -> None:
    app = FastAPI()
    install(app, make_gate())
    app.post("/contact", dependencies=[Depends(require_human)], responses={403: {"description": "Go away"}})(tell)
    operation = app.openapi()["paths"]["/contact"]["post"]
    assert operation["responses"]["403"]["description"] == "Go away"
    assert app.openapi() is app.openapi()


# Refusals


@pytest.mark.parametrize("kind", [Refused, HTTPException, StarletteHTTPException, 403])
def test_a_refusal_goes_through_the_application_s_own_handler(kind: Any) -> None:
    app = FastAPI()
    install(app, make_gate())
    in_dependencies(app)

    @app.exception_handler(kind)
    async def answered(request: Request, refused: Refused) -> JSONResponse:
        return JSONResponse({"error": refused.decision.reason}, refused.status_code, refused.headers)

    if kind is HTTPException:  # FastAPI's own class is below Starlette's, and so is ours
        assert post(app, "/contact").json()["error-codes"] == ["missing-input-response"]
    else:
        assert post(app, "/contact").json() == {"error": "token-missing"}


def test_a_marked_operation_without_a_gate_refuses() -> None:
    app = FastAPI()
    path = on_a_router(app)
    assert post(app, path, fresh_token()).status_code == 503
    assert client_of(app).get(path).status_code == 200


def test_an_operation_that_answers_refusals_itself_gets_the_decision() -> None:
    app = FastAPI()
    install(app, make_gate())

    @app.post("/contact")
    def contact(decision: Annotated[Decision, Depends(require_human(on_refuse="pass"))]) -> str:
        return decision.reason

    assert post(app, "/contact").json() == "token-missing"
    assert post(app, "/contact", fresh_token()).json() == "verified"


# Mistakes


def test_a_marked_page_alone_does_not_start() -> None:
    app = FastAPI()
    install(app, make_gate())
    app.get("/list", dependencies=[Depends(require_human)])(tell)
    with pytest.raises(ConfigurationError, match="view tell: answers GET"), TestClient(app):
        pass


def test_a_websocket_of_a_marked_router_is_closed() -> None:
    app = FastAPI()
    router = APIRouter(dependencies=[Depends(require_human)])
    router.post("/contact")(tell)

    @router.websocket("/chat")
    async def chat(websocket: WebSocket) -> None:
        await websocket.accept()

    app.include_router(router)
    install(app, make_gate())
    with pytest.raises(WebSocketDisconnect), TestClient(app).websocket_connect("/chat"):
        pass


def test_a_mark_above_an_operation_is_a_mistake() -> None:
    with pytest.raises(TypeError, match=r"Depends\(require_human\)"):
        require_human(tell)  # type: ignore[arg-type, call-overload]
