"""/, /console and /docs: the pages for people. They need no token; what they show, they ask the API for."""

from chalicelib import __version__
from chalicelib.codec import jsontext
from chalicelib.http import requests, site
from chalicelib.http.answers import Json, Page
from chalicelib.http.route import Call, Route

_VARY = {"Vary": "Accept"}


def index(call: Call) -> Json | Page:
    """Lead a browser to the console, and tell programs where things are."""
    root = _place(call)
    accepted = requests.headers(call.request).get("accept", "").lower()
    if "text/html" in {kind.partition(";")[0].strip() for kind in accepted.split(",")}:
        return _redirect(303, f"{root}{site.CONSOLE}", _VARY)
    names = {"console": site.CONSOLE, "docs": site.DOCS, "openapi": "/openapi.json", "status": "/status"}
    places = {name: f"{root}{path}" for name, path in names.items()}
    return Json(jsontext.dumps({"name": "Decant", "version": __version__, **places}), _VARY)


def console(call: Call) -> Page:
    """Return the page of the console."""
    return _page(call, site.CONSOLE)


def docs(call: Call) -> Page:
    """Return the page that shows the API and tries it."""
    return _page(call, site.DOCS)


def asset(call: Call) -> Page:
    """Return a file of the console."""
    return _answer(call, f"{site.CONSOLE}/{call.path['name']}")


def _page(call: Call, path: str) -> Page:
    """Return a page. With a slash at the end, the names of its files would lead elsewhere, so that is another page."""
    if call.request.context.get("path", "").endswith("/"):
        return _redirect(308, _place(call), {})
    return _answer(call, path)


def _answer(call: Call, path: str) -> Page:
    return site.file_or_raise(path).answer(requests.headers(call.request).get("if-none-match", ""))


def _place(call: Call) -> str:
    """Return the path that the client asked for, with the prefix that the API has, without a slash at the end."""
    place = call.request.context.get("path", "").strip("/")
    return f"/{place}" if place else ""


def _redirect(status: int, place: str, headers: dict[str, str]) -> Page:
    return Page("", status, {"Location": place, "Content-Type": "text/plain; charset=utf-8", **headers})


ROUTES = (
    Route("GET", "/", index, who=(), note="303 to the console for a browser, else where things are, as JSON"),
    Route("GET", site.CONSOLE, console, who=(), note="The page of the console"),
    Route("GET", f"{site.CONSOLE}/{{name}}", asset, who=(), note="A file of the console or of `/docs`"),
    Route("GET", site.DOCS, docs, who=(), note="A page that shows the API and tries it"),
)
