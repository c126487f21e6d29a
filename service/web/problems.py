"""One table from errors to HTTP statuses, told as problem details (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from service import errors

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1
SET_UP_SECONDS = 60  # for what a person has to do first

STATUSES: dict[type[errors.TidestoneError], tuple[int, str]] = {  # the nearest base class counts
    errors.NotFound: (404, "not_found"),
    errors.BadRequest: (422, "bad_request"),
    errors.DocumentFailed: (422, "document_failed"),
    errors.IllegalMove: (409, "not_allowed_now"),
    errors.Conflict: (409, "conflict"),
    errors.SpaceMismatch: (409, "space_mismatch"),
    errors.Refused: (409, "refused"),
    errors.NotReady: (503, "not_ready"),
    errors.TryAgain: (503, "try_again"),
    errors.Stopped: (503, "stopping"),
    errors.Corrupt: (500, "damaged"),
    errors.TidestoneError: (500, "error"),
}


_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}


class Problem(BaseModel):
    """What went wrong; `code` is for programs. Refused moves add `state` and `allowed`, bad input `errors`, maintenance
    its `task`, and a job that stands in the way is `job`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    state: str | None = None
    allowed: list[str] | None = None
    errors: list[dict[str, Any]] | None = None
    task: str | None = None
    job: str | None = None


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of these refusals."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": content,
            **({"headers": _RETRY_AFTER} if status in (429, 503) else {}),
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Answer every error of this application with problem details."""
    app.add_exception_handler(errors.TidestoneError, _refuse)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def problem(status: int, code: str, detail: str, **more: Any) -> JSONResponse:
    """A refusal."""
    title = HTTPStatus(status).phrase
    shown = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code, **more}
    return JSONResponse(shown, status, media_type=MEDIA_TYPE)


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    status, code = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    more: Mapping[str, Any] = {}
    if isinstance(error, errors.IllegalMove):
        more = {"state": error.state, "allowed": error.allowed}
    if isinstance(error, errors.Conflict) and error.job:
        more = {"job": error.job}
    if isinstance(error, errors.TryAgain):
        status, code = (507 if error.reason == "disk_low" else 503), error.reason
    response = problem(status, code, str(error), **more)
    if status == 503:
        seconds = SET_UP_SECONDS if isinstance(error, errors.NotReady) else RETRY_AFTER_SECONDS
        response.headers["Retry-After"] = str(seconds)
    return response


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    shown = [{"at": [str(part) for part in each["loc"]], "message": each["msg"]} for each in found]
    detail = "; ".join(f"{'.'.join(each['at'])}: {each['message']}" for each in shown)
    return problem(422, "bad_request", detail, errors=shown)


async def _http(_: Request, error: Exception) -> JSONResponse:
    """What the framework refuses: no such route, no such method, a body that is not even text."""
    status, detail, headers = 500, "", None
    if isinstance(error, HTTPException):
        status, detail, headers = error.status_code, str(error.detail), error.headers
    if status == 400:  # every other bad body is a 422, and clients should not have to know the difference
        return problem(422, "bad_request", "body: not JSON in UTF-8, or nested too deeply")
    response = problem(status, HTTPStatus(status).name.lower(), detail)
    response.headers.update(headers or {})
    return response


async def _unexpected(_: Request, error: Exception) -> JSONResponse:
    return problem(500, "unexpected", f"{type(error).__name__}; the service's log says more.")
