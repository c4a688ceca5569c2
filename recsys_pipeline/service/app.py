"""The HTTP API: lists for users, related items, search, events, and how the service stands."""

import json
import math
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import anyio.to_thread
from fastapi import FastAPI, Query, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recsys_pipeline.adapters.serving.event_log import EventLog
from recsys_pipeline.adapters.serving.served_log import ServedLog, row_of
from recsys_pipeline.core.configs import similar_names
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.serving.policy.lists import ServedList, make_list
from recsys_pipeline.core.serving.policy.request import MOST_HISTORY, MOST_PLACES, Predicate
from recsys_pipeline.core.serving.policy.request import Request as Asked
from recsys_pipeline.service.opened import Holder, Opened
from recsys_pipeline.service.problems import BodyLimit, ProblemError, answer_http, answer_problem, answer_validation

MOST_EVENTS = 1_000
K = Annotated[int, Query(ge=1, le=MOST_PLACES, description="Places of the list; default: the release's.")]
PolicyName = Annotated[str, Query(max_length=200, description="How the list is made: a name of `/v1/release`.")]
UserId = Annotated[str, Query(max_length=10_000, description="For whom; who is not known gets what is popular.")]
LATENCY_S = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class Where(BaseModel):
    """What every item of the list must satisfy."""

    model_config = ConfigDict(extra="forbid")
    column: Literal["category", "price", "created_at"]
    operator: Literal["in", "not_in", "at_least", "at_most"]
    value: list[str] | float = Field(description="Texts for category, else a number; created_at in microseconds, UTC.")


class ListRequest(BaseModel):
    """Who asks, and for what."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"history": ["p000150", "p000817"], "k": 5,
                                       "where": [{"column": "price", "operator": "at_most", "value": 100}]}},
    )  # fmt: skip
    user_id: str = Field("", max_length=10_000, description="Empty for somebody of whom only the history is known.")
    history: list[str] = Field([], max_length=MOST_HISTORY, description="Items that the user took, the latest last.")
    context: dict[str, str | float | bool] = Field({}, description="What rules of a policy may look at.")
    where: list[Where] = Field([], max_length=32, description="What every item of the list must satisfy.")
    k: int | None = Field(None, ge=1, le=MOST_PLACES, description="Places of the list; default: the release's.")
    policy: str = Field("default", max_length=200, description="How the list is made.")
    request_id: str = Field("", max_length=200, description="Who asks again under the same id gets the same draws.")


class Event(BaseModel):
    """Something that a user did, as the interactions table has it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"event_id": "e-1", "user_id": "u000001", "item_id": "p000150", "event": "click"}
        },
    )
    event_id: str = Field(min_length=1, max_length=200, description="An event sent again under it counts once.")
    user_id: str = Field(min_length=1, max_length=10_000)
    item_id: str = Field(min_length=1, max_length=10_000)
    event: str = Field(min_length=1, max_length=200)
    value: float = Field(1.0, allow_inf_nan=False)
    timestamp: AwareDatetime | None = Field(None, description="When; now, where it is not said.")
    request_id: str | None = Field(None, max_length=200, description="Of the list that it answers.")
    position: int | None = Field(None, ge=0, description="Where the item stood there, from 0.")


class Events(BaseModel):
    """Several events; all are accepted, or none."""

    model_config = ConfigDict(extra="forbid")
    events: list[Event] = Field(min_length=1, max_length=MOST_EVENTS)


class Metrics:
    """What Prometheus reads."""

    def __init__(self, holder: Holder, served: ServedLog) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("recsys_requests", "Answers.", ["route", "status"], registry=self.registry)
        self.seconds = Histogram("recsys_list_seconds", "To make a list.", ["policy"], buckets=LATENCY_S,
                                 registry=self.registry)  # fmt: skip
        self.degraded = Counter("recsys_degraded_lists", "Lists of which a part was skipped.", ["part"],
                                registry=self.registry)  # fmt: skip
        self.events = Counter("recsys_events", "Events accepted, each once.", registry=self.registry)
        for name, text, value in (
            ("recsys_swaps", "Releases, overlays and policies taken since the start.", lambda: holder.swaps),
            ("recsys_newest_refused", "1 where the newest state cannot be served.", lambda: bool(holder.refused)),
            ("recsys_served_log_behind", "Lists that are not on the disk yet.", lambda: served.behind),
        ):
            Gauge(name, text, registry=self.registry).set_function(value)


class Counted:
    """Counts answers by route, not by path: ids would make as many series."""

    def __init__(self, app: ASGIApp, requests: Counter) -> None:
        self.app, self.requests = app, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                self.requests.labels(route, message["status"]).inc()
            await send(message)

        await self.app(scope, receive, noted)


def create_app(holder: Holder, served_log: ServedLog, event_log: EventLog, deadline_s: float = 0.1) -> FastAPI:
    """The application over what a holder keeps open; it closes all three when it ends."""
    app = FastAPI(title="recsys", version="1", description="Lists over the champion release.", lifespan=_closing)
    app.state.holder, app.state.served_log, app.state.event_log = holder, served_log, event_log
    app.state.deadline_s, app.state.metrics = deadline_s, Metrics(holder, served_log)
    app.add_middleware(BodyLimit)
    app.add_middleware(Counted, requests=app.state.metrics.requests)
    app.add_exception_handler(ProblemError, answer_problem)
    app.add_exception_handler(RequestValidationError, answer_validation)
    app.add_exception_handler(HTTPException, answer_http)
    _add_lists(app)
    _add_events(app)
    _add_standing(app)
    return app


@asynccontextmanager
async def _closing(app: FastAPI) -> AsyncIterator[None]:
    app.state.holder.start()
    yield
    app.state.holder.close()
    app.state.served_log.close()


def _add_lists(app: FastAPI) -> None:
    @app.get("/v1/users/{user_id:path}/recommendations", tags=["lists"])
    async def recommendations(user_id: str, k: K | None = None, policy: PolicyName = "default") -> Response:
        """The list of one user."""
        return _list(app, policy, k, user_id=user_id)

    @app.post("/v1/recommendations", tags=["lists"])
    async def asked_recommendations(body: ListRequest) -> Response:
        """A list for somebody of whom the request tells; folded in on the spot."""
        try:
            where = tuple(Predicate(one.column, one.operator, one.value) for one in body.where)
        except SettingError as error:
            raise ProblemError(422, "cannot be answered", str(error)) from error
        return _list(app, body.policy, body.k, body.request_id, user_id=body.user_id, history=tuple(body.history),
                     where=where, context=body.context)  # fmt: skip

    @app.get("/v1/items/{item_id:path}/related", tags=["lists"])
    async def related(item_id: str, k: K | None = None, policy: PolicyName = "related", user: UserId = "") -> Response:
        """What goes with an item."""
        if app.state.holder.opened.served.offer.rows([item_id])[0] < 0:
            raise ProblemError(404, "no such item", f"what is served has no item {item_id[:200]!r}")
        return _list(app, policy, k, around=item_id, user_id=user)

    @app.get("/v1/search", tags=["lists"])
    async def search(
        q: Annotated[str, Query(max_length=1_000, description="Words; the last may be begun.")],
        k: K | None = None, policy: PolicyName = "search", user: UserId = "",
    ) -> Response:  # fmt: skip
        """Items that words describe."""
        return _list(app, policy, k, query=q, user_id=user)


def _list(app: FastAPI, policy_name: str, k: int | None, request_id: str = "", **asked: Any) -> Response:
    """Make a list, have it logged, and answer with it; whatever is swapped meanwhile, from one state alone."""
    state, opened = app.state, app.state.holder.opened
    if policy_name not in opened.policies:
        there = similar_names(policy_name, opened.policies)
        raise ProblemError(404, "no such policy", f"there is no policy {policy_name[:200]!r}; {there}")
    policy, start = opened.policies[policy_name], time.perf_counter()
    try:
        request = Asked(request_id or uuid.uuid4().hex, time.time_ns() // 1_000,
                        k=opened.served.release.config.k if k is None else k, **asked)  # fmt: skip
    except SettingError as error:
        raise ProblemError(422, "cannot be answered", str(error)) from error
    until = start + state.deadline_s if state.holder.is_warm else math.inf
    found = make_list(opened.served.offer, policy, request, (), time.perf_counter, until)
    state.served_log.append(row_of(found, opened.made(policy)))
    state.metrics.seconds.labels(policy_name).observe(time.perf_counter() - start)
    for part in found.skipped:
        state.metrics.degraded.labels(part).inc()
    return _json(_document(opened, found, policy.name))


def _document(opened: Opened, found: ServedList, policy: str) -> Mapping[str, Any]:
    served, n = opened.served, len(found.places)
    titles = served.offer.columns.titles(found.rows.ravel())
    items = [
        {
            "item_id": place.item_id, "title": title, "score": place.score, "propensity": place.propensity,
            "source": place.source,
            "reason": {**vars(place.reason), "text": place.reason.sentence(other)},
        }
        for place, title, other in zip(found.places, titles[:n], titles[n:], strict=True)
    ]  # fmt: skip
    return {
        "request_id": found.request.request_id, "user_id": found.request.user_id, "items": items, "made_for": found.why,
        "degraded": found.degraded, "skipped": found.skipped, "policy": policy, "release": served.release.day,
        "overlay": served.overlay.hour if served.overlay else None,
    }  # fmt: skip


def _add_events(app: FastAPI) -> None:
    @app.post("/v1/events", status_code=202, tags=["events"])
    async def events(body: Events) -> dict[str, int]:
        """Accept events: they are on the disk when this answers. `accepted` counts those that were not known yet."""
        now = datetime.now(UTC)
        rows = [
            {**one.model_dump(exclude_none=True), "timestamp": (one.timestamp or now).astimezone(UTC).isoformat()}
            for one in body.events
        ]
        try:
            accepted = await anyio.to_thread.run_sync(app.state.event_log.accept, rows)
        except OSError as error:
            raise ProblemError(503, "events cannot be written", str(error.strerror), {"Retry-After": "5"}) from error
        app.state.metrics.events.inc(accepted)
        return {"accepted": accepted, "known": len(rows) - accepted}


def _add_standing(app: FastAPI) -> None:
    @app.get("/healthz", tags=["standing"])
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["standing"])
    async def readyz() -> dict[str, str]:
        """Lists can be served, and are written down."""
        if app.state.served_log.failed:
            raise ProblemError(503, "lists cannot be written down", app.state.served_log.failed, {"Retry-After": "5"})
        return {"status": "ready"}

    @app.get("/v1/release", tags=["standing"])
    async def release() -> dict[str, Any]:
        """What is served now, by day and digest, and why not something newer."""
        opened = app.state.holder.opened
        policies = {name: policy.digest for name, policy in opened.policies.items()}
        made = opened.made(opened.policies["default"])
        return {"release": made.release_day, "release_digest": made.release, "overlay": made.overlay_hour or None,
                "policies": policies, "swaps": app.state.holder.swaps, "refused": app.state.holder.refused}  # fmt: skip

    @app.get("/metrics", tags=["standing"])
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(app.state.metrics.registry), media_type="text/plain; version=0.0.4")


def _json(document: Mapping[str, Any]) -> Response:
    return Response(json.dumps(document, ensure_ascii=False).encode(errors="replace"), media_type="application/json")
