"""A route is one row of data, and the rows are the only source of facts about routes.

``mount`` registers them with the Chalice app. The API Gateway document, the throttles of the usage plans,
docs/compatibility.md and the tests are made from them too.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

from chalice.app import Chalice, Request, Response

from chalicelib import errors, store
from chalicelib.codec import tokens
from chalicelib.codec.querystring import Tree
from chalicelib.codec.tokens import Kind
from chalicelib.host import deadline, events, log
from chalicelib.http import access, answers, envelope, limits, requests
from chalicelib.http.answers import Lane
from chalicelib.services.access import callers, last_uses, passwords, reach
from chalicelib.services.access.callers import Caller
from chalicelib.services.accounts import audit
from chalicelib.services.usage.minutes import Taken
from chalicelib.store import Doc

R = TypeVar("R")
DEVICE: Kind = "device"
PROFILE: Kind = "profile"
ANALYSIS: Kind = "analysis"
RUN_USER: Kind = "run_user"
SERVICE: Kind = "service"
NETWORK: Kind = "network"
"""Kinds of caller."""
Need = Literal["read", "write", "full"]


class Call:
    """A request to a route.

    Args:
        request: Chalice's request.
        path: the parameters of the path.
    """

    __slots__ = (
        "_device", "_found", "_used", "body", "caller", "changed", "claim", "event", "facts", "lane", "may_see", "path",
        "request", "subject", "taken", "work",
    )  # fmt: skip
    caller: Caller
    """The caller. Not set on a route that needs no token."""
    subject: Doc
    """The analysis, run user or network that calls. Not set for other callers."""
    may_see: Callable[[Doc], bool] | None
    """Which documents of a list the caller may see. None: all."""
    body: Any
    """The result of the row's ``body`` schema. Not set if the row has none."""

    def __init__(self, request: Request, path: Mapping[str, str]) -> None:
        self.request, self.path = request, path
        self._device: Doc | None = None
        self.may_see = None
        self.claim: access.Claim | None = None
        """What ``access`` has allowed so far. None: everything."""
        self.facts = log.facts(request)
        """What the request's line in the log says besides, such as the profile."""
        self.changed = ""
        """The id of what the request has changed, if neither the path nor the result names it. For the audit log."""
        self.event = ""
        """The name of the request's event in the audit log."""
        self._found: list[tuple[Any, Exception | None]] = []
        """What works have returned or raised, in the order in which the route's function calls for them."""
        self._used = 0
        self.work: Callable[[], Any] | None = None
        """What a thread must do before the route's function can go on."""
        self.lane: Lane = "read"
        """With which other work ``work`` waits for a thread."""
        self.taken: Taken | None = None
        """What the call has taken of its rate."""

    def read(self, work: Callable[[], R]) -> R:
        """Return the result of ``work``, which reads much and writes nothing. A GET route is such work as a whole.

        In the embedded mode, ``work`` is called in the event loop. If that takes long, it is called again in a thread,
        and then the route's function is called again and gets the result here.
        """
        if self._used == len(self._found):
            self.work, self.lane = work, "read"
            profile = self.facts.get("profile", "")
            if not deadline.is_worth_a_try(profile):
                raise deadline.TooLong
            with deadline.sharing(profile):
                self._found.append((work(), None))
            self.work = None
        return self._take(work)

    def compute(self, work: Callable[[], R], seconds: float, lane: Lane = "parse") -> R:
        """Return the result of ``work``, which uses no store.

        Args:
            work: parses a large body, or hashes passwords, or runs payload parsers.
            seconds: how long it takes. If that is long, the embedded mode does it in a thread, and then calls the
                route's function again, which gets the result here. It calls for works in the same order then.
            lane: with which other work it waits for a thread.
        """
        if self._used == len(self._found):
            if deadline.would_exceed(seconds):
                self.work, self.lane = work, lane
                raise deadline.TooLong
            self._found.append((work(), None))
        return self._take(work)

    def hash(self, work: Callable[[], R]) -> R:
        """Return the result of ``work``, which hashes passwords; see ``compute``."""
        return self.compute(work, passwords.SECONDS, "hash")

    def _take(self, _: Callable[[], R]) -> R:
        """Return what the next work has found, or raise what it has raised."""
        result, error = self._found[self._used]
        self._used += 1
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    def do_work(self) -> None:
        """Do ``work`` in a thread, and keep its result."""
        work, self.work = self.work, None
        try:
            self._found.append((work() if work else None, None))
        except Exception as error:
            self._found.append((None, error))

    @property
    def profile(self) -> str:
        """The id of the caller's profile."""
        return self.caller.profile

    @property
    def device(self) -> Doc:
        """The caller's device or, if the caller has no device token, the device that the path names.

        A network finds its device itself and sets it here.

        Raises:
            errors.NotFound: the profile has no such device.
            errors.Denied: the device of a device token does not exist any more.
            errors.BadRequest: the device of a device token is deactivated.
        """
        if self._device is None:
            if self.caller.kind == DEVICE:
                self._device = reach.own_device_or_raise(self.caller)
            else:
                self._device = reach.device_or_raise(profile=self.profile, device=self.path["device_id"])
        return self._device

    @device.setter
    def device(self, device: Doc) -> None:
        self._device = device

    def _device_or_none(self) -> Doc | None:
        try:
            return self.device
        except errors.ApiError:  # raised again after the call is counted
            return None

    @property
    def query(self) -> Tree:
        """The query string as a tree. Raises errors.BadRequest: too many or too deeply nested parameters."""
        return requests.query(self.request)

    def note(self, **facts: Any) -> None:
        """Add facts, such as the number of points, to the request's line in the log."""
        self.facts.update(facts)

    def note_ignored(self, names: tuple[str, ...]) -> None:
        """Note which names of the request nothing reads. ``tell_ignored`` tells the client's developer."""
        if names:
            self.note(ignored=names)

    def tell_ignored(self) -> None:
        """Show in the inspector which names of the request nothing reads. Called in the event loop."""
        names = self.facts.get("ignored")
        if names:
            path = self.request.to_original_event().get("path", self.request.path)
            title = f"[HTTP] {self.request.method} {path}"
            events.current().seen(self.device["id"], title, f"ignored: {', '.join(names)}")

    def admit(self, row: "Route") -> None:
        """Identify the caller, count the call, and check that the caller may use the route.

        Raises:
            errors.Denied: no valid token, another kind of token, one without the permission, or one of an inactive
                analysis or run user, or of a network that is gone.
            errors.TooManyRequests: the limit of the route is used up.
            errors.BadRequest: the caller's device is deactivated.
        """
        caller = _caller(self.request)
        if caller is None or caller.kind not in row.who or not caller.may(row.need):
            raise errors.Denied
        self.caller, self._device = caller, None
        self.facts["profile"] = caller.profile
        last_uses.note(caller)
        if caller.kind == DEVICE:
            self.facts["device"] = caller.subject
        elif caller.subject:
            self.subject = reach.subject_or_raise(caller)
        if self.taken is None:
            self.taken = limits.take(caller, row.rate, row.rate or row.key, self.request, self._device_or_none)
            limits.check(self.taken)
        if caller.kind == DEVICE:
            _ = self.device


class Route(NamedTuple):
    """A row of the table."""

    method: str
    path: str
    handle: Callable[[Call], Any]
    """The function that returns the result. The first line of its docstring describes the route."""
    who: tuple[Kind, ...] = (PROFILE,)
    """The kinds of caller that may use the route. Empty: anybody, without a token."""
    need: Need = "read"
    """The permission that the token must have. A GET route that writes needs another one than ``read``."""
    body: Callable[[bytes], Any] | None = None
    """Reads the body, for example a ``Body``. None: there is no body, or ``handle`` reads it."""
    rate: str | None = None
    """The name of the route's limit in the price plans. None: the limit for all other routes."""
    grant: str | None = None
    """What a policy must allow an analysis or a run user, as ``resource/action``; None: they may not use the route."""
    note: str = ""
    """A note for docs/compatibility.md. It starts with ``partly:`` if something is missing."""

    @property
    def key(self) -> str:
        """Method and path, which name the row."""
        return f"{self.method} {self.path}"


def mount(app: Chalice, rows: Iterable[Route]) -> None:
    """Register each row with a Chalice app."""
    app.register_middleware(envelope.close, "http")
    for row in rows:
        # Chalice must not check content types: ``requests`` checks them, in the same way for all routes.
        app.route(row.path, methods=[row.method], name=row.handle.__name__, content_types=[])(_view(app, row))


def _view(app: Chalice, row: Route) -> Callable[..., Response]:
    """Return the view of a row. It identifies the caller, reads the body, and calls the row's function."""

    def view(**path: str) -> Response:
        request = app.current_request
        assert request is not None  # noqa: S101 - Chalice sets it before it calls a view
        return _limited(row, Call(request, path))

    return view


def _limited(row: Route, call: Call) -> Response:
    """Answer a request, and tell the client what is left of a limit."""
    answer = _answer(row, call)
    if call.taken is not None and not isinstance(answer, answers.Postponed):
        limits.tell(call.taken, answer)
    return answer


def _answer(row: Route, call: Call) -> Response:
    """Answer a request. It is called again after a pause, in which the caller may have lost the right to this route."""
    call._used = 0
    try:
        if row.who:
            call.admit(row)
            access.require(call, row)
        if row.body is not None:
            call.body = row.body(requests.json_body(call.request))
            access.require_body(call, row)
        if row.method == "GET" and row.need == "read":
            answer = call.read(lambda: answers.ok(row.handle(call)))
            call.tell_ignored()
            return answer
        with store.current().unit():  # a refused request leaves no writes
            answer = answers.ok(_change(row, call))
        call.tell_ignored()
        return answer
    except deadline.TooLong:
        finish = functools.partial(_limited, row, call)
        return answers.Postponed(finish, deadline.current(), call.do_work if call.work else None, call.lane)
    except errors.ApiError as error:
        if call.event and error.status < 500:  # else a part of the change may have been made
            audit.forget(profile=call.profile, event=call.event)
        call.note(reason=log.reason(error))
        if error.__cause__ is not None:
            call.note(cause=log.cause(error))
        return answers.refused(error)


def _change(row: Route, call: Call) -> Any:
    """Return the result of a row that changes something, and record the change if it is audited."""
    resource = audit.resource_of(row.path) if row.who else None
    if resource is None:
        return row.handle(call)
    call.event = call.event or audit.new_name()
    message = (row.handle.__doc__ or "").partition(".")[0]
    change = audit.Change(call.event, call.caller, resource, message, requests.address(call.request))
    with audit.recording(change, audit.subject(call.path, None)) as event:
        result = row.handle(call)
        event["resource_id"] = call.changed or audit.subject(call.path, result) or event["resource_id"]
    return result


def _caller(request: Request) -> Caller | None:
    """Return the caller from API Gateway's authorizer. If no authorizer ran, find the caller by the token."""
    context = request.context.get("authorizer")
    if context:
        return callers.from_context(context)
    text = tokens.from_headers(requests.headers(request))
    return callers.resolve(text=text) if text else None
