"""Small pages for people who follow a link in a mail: a text, and a form with a button. They have no script.

To fetch a page changes nothing, as mail programs fetch links before people see them; its button does.
"""

import base64
import functools
import hashlib
from collections.abc import Callable
from html import escape

from chalicelib import errors
from chalicelib.http.answers import Page
from chalicelib.http.route import Call

_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:28rem;margin:3rem auto;padding:0 1rem}"
    "label,input,button{display:block;width:100%;box-sizing:border-box;font:inherit}"
    "input,button{padding:.5rem;margin:.25rem 0 1rem}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def message(title: str, text: str, status: int = 200) -> Page:
    """Return a page that says something."""
    return Page(_page(title, f"<p>{escape(text)}</p>"), status, _HEADERS)


def form(title: str, text: str, button: str, *, passwords: tuple[tuple[str, str], ...] = ()) -> Page:
    """Return a page with a form that its button sends to the same address.

    Args:
        title: the heading.
        text: what the button does.
        button: its label.
        passwords: name and label of each field for a password.
    """
    fields = "".join(
        f'<label>{escape(label)}<input type="password" name="{escape(name)}" autocomplete="new-password" required>'
        "</label>"
        for name, label in passwords
    )
    return Page(
        _page(title, f'<p>{escape(text)}</p><form method="post">{fields}<button>{escape(button)}</button></form>'),
        200,
        _HEADERS,
    )


def refused(title: str, error: errors.ApiError) -> Page:
    """Return an error as a page."""
    page = message(title, error.message, error.status)
    retry = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s else {}
    return page._replace(headers={**_HEADERS, **retry})


def refusing(title: str) -> Callable[[Callable[[Call], Page]], Callable[[Call], Page]]:
    """Return a decorator for a route's function that returns a page: an error becomes a page with this title."""

    def decorate(handle: Callable[[Call], Page]) -> Callable[[Call], Page]:
        @functools.wraps(handle)
        def answer(call: Call) -> Page:
            try:
                return handle(call)
            except errors.ApiError as error:
                return refused(title, error)

        return answer

    return decorate


def _page(title: str, content: str) -> str:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>{content}</html>\n"
    )
