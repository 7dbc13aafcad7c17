"""What the server answers: POST /v1/detect, and GET /v1/model, /health, /metrics, /openapi.json.

There is no page of FastAPI's at /docs: it would load its script from a CDN.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.security import HTTPBearer
from pydantic import Field
from starlette.exceptions import HTTPException
from typing_extensions import TypedDict

from tools.serving.guard import HEALTH, Refusal
from tools.serving.metrics import TEXT, Metrics
from tools.serving.pool import Pool

VERSION = "1"
ABOUT = (
    "Finds objects in photos. Boxes are [xmin, ymin, xmax, ymax] in pixels of the photo as seen, the best score first."
)
FOUND = {
    "model": "5f1c...",
    "width": 400,
    "height": 300,
    "threshold": 0.5,
    "detections": [{"class": "cat", "id": 1, "score": 0.9731, "box": [100.25, 60.5, 299.75, 210.0]}],
    "seconds": {"waiting": 0.0002, "detecting": 0.0214},
}
ERRORS = {  # status: (what it is, an example)
    400: ("no photo, no such class, or no valid HTTP", "class: there is no bird; there are cat, dog"),
    401: ("no token, or another one", "a token is needed, in the header Authorization: Bearer TOKEN"),
    403: ("a page of another site asks", "pages of other sites may not ask this server"),
    408: ("the photo came too slowly", "the body did not come within 10 seconds"),
    413: ("too many bytes", "the body has 30,000,000 bytes; at most 20,000,000 are taken"),
    415: ("not sent as a photo", "send a photo's bytes, with Content-Type: image/jpeg"),
    421: ("another host name", "this host name is not served here; start the server with --name=NAME"),
    422: ("a photo that cannot be read", "photo: is not an image that can be read; save it again as JPEG or PNG"),
    429: ("too many requests from one address; Retry-After says when", "too many requests from this address"),
    431: ("headers that are too long", "the headers have 20,000 bytes; at most 16,384 are taken"),
    500: ("a fault of the server", "the server has failed"),
    501: ("a Transfer-Encoding that is not chunked", "of Transfer-Encoding only chunked is taken"),
    503: ("the server is full; Retry-After says when", "64 photos are waiting already"),
}
OF_ALL = (400, 403, 421, 429, 431, 500, 501)  # that any path may answer
ANYBODY: dict[str, Any] = {"security": [{}]}  # beside the token: there may be none
TOKEN = HTTPBearer(auto_error=False, scheme_name="token", description="PASSO_TOKEN of the server, where it has one")

Detection = TypedDict(
    "Detection",
    {
        "class": Annotated[str, Field(description="its name in the label map")],
        "id": Annotated[int, Field(description="its id there, from 1")],
        "score": Annotated[float, Field(description="from 0 to 1")],
        "box": Annotated[list[float], Field(description="[xmin, ymin, xmax, ymax], in pixels")],
    },
)


class Seconds(TypedDict):
    waiting: Annotated[float, Field(description="for a worker")]
    detecting: Annotated[float, Field(description="reading the photo, too")]


class Found(TypedDict):
    model: Annotated[str, Field(description="which one, as /v1/model has it")]
    width: Annotated[int, Field(description="of the photo as seen: EXIF orientation is applied")]
    height: int
    threshold: Annotated[float, Field(description="the lowest score that is listed")]
    detections: list[Detection]
    seconds: Seconds


class Error(TypedDict):
    error: Annotated[str, Field(description="one line")]


class Class(TypedDict):
    id: Annotated[int, Field(description="from 1")]
    name: str


class About(TypedDict):
    model: Annotated[str, Field(description="the SHA-256 of its file and its classes' names")]
    classes: list[Class]
    threshold: Annotated[float, Field(description="the lowest score, where a request names none")]
    record: Annotated[dict[str, Any], Field(description="what its model.json says")]


class Health(TypedDict):
    status: Literal["ok", "no worker"]


class Api:
    """The answers.

    record: the model's model.json. threshold: the lowest score, where a request names none. page: of the demo, and its
    Content-Security-Policy.
    """

    def __init__(
        self, pool: Pool, record: Mapping[str, Any], threshold: float, page: tuple[str, str] | None = None
    ) -> None:
        self._pool, self._record, self._threshold, self._page = pool, record, threshold, page
        self._ids = {name: number for number, name in pool.facts.names.items()}
        self.metrics = Metrics(pool)

    async def detect(
        self,
        request: Request,
        threshold: Annotated[float | None, Query(ge=0, le=1, description="the lowest score")] = None,
        classes: Annotated[list[str] | None, Query(alias="class", description="only these; may be repeated")] = None,
    ) -> Response:
        """Detect in a photo: the body is its file, as it is (JPEG, PNG, WebP, HEIC, AVIF, TIFF, GIF, BMP)."""
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not media.startswith("image/") and media != "application/octet-stream":
            raise Refusal(415, ERRORS[415][1])
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Refusal(415, "send the photo without Content-Encoding")
        if not (photo := await request.body()):
            raise Refusal(400, "the photo is empty: no byte of it came")
        if unknown := [name for name in classes or [] if name not in self._ids]:
            raise Refusal(400, f"class: there is no {unknown[0]}; there are {', '.join(self._ids)}")
        lowest = self._threshold if threshold is None else threshold
        job = {"threshold": lowest, "classes": [self._ids[name] for name in classes or self._ids]}
        found = await self._pool.detect(job, photo)
        self.metrics.detected([one["class"] for one in found["detections"]])
        return JSONResponse({"model": self._pool.facts.digest, "threshold": lowest, **found})

    async def model(self) -> Response:
        """Which model it is: its classes, and what model.json says of it."""
        facts = self._pool.facts
        classes = [{"id": number, "name": name} for number, name in sorted(facts.names.items())]
        about = {"model": facts.digest, "classes": classes, "threshold": self._threshold, "record": self._record}
        return JSONResponse(about)

    async def health(self) -> Response:
        """Whether photos are taken: 200, or 503 while no worker is there."""
        alive = self._pool.alive()
        return JSONResponse({"status": "ok" if alive else "no worker"}, 200 if alive else 503)

    async def counts(self) -> Response:
        """Counts and times for Prometheus."""
        return Response(self.metrics.text(), media_type=TEXT)

    async def page(self) -> Response:
        content, policy = self._page or ("", "")
        rights = "camera=(self), microphone=(), geolocation=()"
        return HTMLResponse(content, headers={"content-security-policy": policy, "permissions-policy": rights})

    def app(self) -> FastAPI:
        """The application."""
        app = FastAPI(title="Passo", version=VERSION, description=ABOUT, docs_url=None, redoc_url=None)
        self._add_routes(app)
        if self._page:
            app.add_api_route("/", self.page, methods=["GET"], include_in_schema=False)
        app.add_exception_handler(Refusal, _refused)
        app.add_exception_handler(RequestValidationError, _invalid)
        app.add_exception_handler(HTTPException, _unknown)
        app.add_exception_handler(Exception, _failed)
        return app

    def _add_routes(self, app: FastAPI) -> None:
        asked: dict[str, Any] = {"dependencies": [Security(TOKEN)], "openapi_extra": ANYBODY}
        photo = {"schema": {"type": "string", "format": "binary"}}
        body = {"required": True, "content": dict.fromkeys(("image/*", "application/octet-stream"), photo)}
        app.add_api_route(
            "/v1/detect",
            self.detect,
            methods=["POST"],
            response_model=Found,
            responses={200: _example("the detections", FOUND), **_errors(*ERRORS)},
            **asked | {"openapi_extra": {"requestBody": body, **ANYBODY}},
        )
        errors = _errors(*OF_ALL, 401, 503)
        app.add_api_route("/v1/model", self.model, response_model=About, responses=errors, **asked)
        text = {"description": "as text", "content": {"text/plain": {"schema": {"type": "string"}}}}
        app.add_api_route("/metrics", self.counts, response_class=Response, responses={200: text, **errors}, **asked)
        ill = {"description": "no worker is there, or the server is full", "model": Health | Error}
        app.add_api_route(HEALTH, self.health, response_model=Health, responses={503: ill, **_errors(*OF_ALL)})


def _example(what: str, example: object) -> dict[str, Any]:
    return {"description": what, "content": {"application/json": {"example": example}}}


def _errors(*statuses: int) -> dict[int, dict[str, Any]]:
    described = {status: _example(ERRORS[status][0], {"error": ERRORS[status][1]}) for status in statuses}
    return {status: {"model": Error, **about} for status, about in described.items()}


def _answer(refusal: Refusal) -> Response:
    return Response(refusal.body(), refusal.status, refusal.all_headers())


async def _refused(_: Request, error: Any) -> Response:
    return _answer(error)


async def _invalid(_: Request, error: Any) -> Response:
    first = error.errors()[0]
    return _answer(Refusal(422, f"{first['loc'][-1]}: {first['msg']}"))


async def _unknown(_: Request, error: Any) -> Response:
    return _answer(Refusal(error.status_code, str(error.detail), headers=dict(error.headers or {})))


async def _failed(_: Request, __: Any) -> Response:
    return _answer(Refusal(500, ERRORS[500][1]))
