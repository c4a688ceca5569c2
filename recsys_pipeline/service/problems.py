"""Errors as problem+json (RFC 9457), and the bound on what a request may carry."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 1_000_000


class ProblemError(Exception):
    """What is answered in place of a result."""

    def __init__(self, status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status, self.title, self.detail, self.headers = status, title, detail, dict(headers or {})

    def response(self, **more: Any) -> Response:
        """As problem+json."""
        document = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail, **more}
        return Response(json.dumps(document), self.status, self.headers, "application/problem+json")


async def answer_problem(_: Request, problem: Exception) -> Response:
    """For FastAPI."""
    assert isinstance(problem, ProblemError)
    return problem.response()


async def answer_http(_: Request, error: Exception) -> Response:
    """What Starlette says itself: no such path, no such method, no JSON."""
    assert isinstance(error, HTTPException)
    return ProblemError(error.status_code, HTTPStatus(error.status_code).phrase.lower(), str(error.detail)).response()


async def answer_validation(_: Request, error: Exception) -> Response:
    """What FastAPI found wrong, by field."""
    assert isinstance(error, RequestValidationError)
    errors = [{"field": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in error.errors()]
    detail = "; ".join(f"{one['field']}: {one['message']}" for one in errors[:5])
    return ProblemError(422, "cannot be answered", detail).response(errors=errors[:50])


class BodyLimit:
    """Refuses a body above `MOST_BYTES` by its declared length, or as soon as it has come so far."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        declared = dict(scope.get("headers", ())).get(b"content-length", b"0")
        if scope["type"] == "http" and declared.isdigit() and int(declared) > MOST_BYTES:
            await _too_large()(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return {"type": "http.disconnect"} if seen > MOST_BYTES else message

        async def noted(message: Message) -> None:
            if seen <= MOST_BYTES:
                await send(message)
            elif message["type"] == "http.response.start":  # whatever is made of half a body
                await _too_large()(scope, receive, send)

        await self.app(scope, counted, noted)


def _too_large() -> Response:
    return ProblemError(413, "too large", f"a body may have {MOST_BYTES:,} bytes").response()
