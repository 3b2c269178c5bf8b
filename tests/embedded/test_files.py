"""Addresses from which files can be got."""

import asyncio
from urllib.parse import quote, urlsplit

import pytest

from embedded.files import _PIECE_BYTES, URL_S, Folder

KEY = "0123456789abcdef01234567/a b.csv"
SECRET = "variable,value\r\na,1\r\n"


@pytest.fixture
def folder(tmp_path, clock):
    for name in (KEY, "fedcba987654321001234567/b.csv"):
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True)
        path.write_text(SECRET)
    (tmp_path / "secret").write_text("not a file of anybody")
    return Folder(tmp_path)


def get(folder, url, *, leaves_after=None):
    """Ask for an address; return status, headers and body, or None, and how many messages were sent."""
    sent, gone = [], asyncio.Event()

    async def receive():
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        if len(sent) == leaves_after:
            gone.set()

    found = urlsplit(url)
    if not asyncio.run(folder.answer(found.path, found.query.encode(), receive, send, [])):
        assert sent == []
        return None
    start, *rest = sent
    return start["status"], dict(start["headers"]), b"".join(message["body"] for message in rest), len(sent)


def test_file_is_sent_as_an_attachment_that_nobody_keeps(folder):
    status, headers, body, _ = get(folder, folder.download_url(KEY))
    assert (status, body.decode()) == (200, SECRET)
    assert headers[b"content-disposition"] == b'attachment; filename="a b.csv"'
    assert headers[b"x-content-type-options"] == b"nosniff" and headers[b"cache-control"] == b"private, no-store"


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace("0123456789abcdef01234567", "fedcba987654321001234567").replace("a%20b", "b"),
        lambda url: url.replace("a%20b", "A%20B"),
        lambda url: url.replace("a%20b.csv", "..%2f..%2fsecret"),
        lambda url: url.replace("a%20b.csv", "../../secret"),
        lambda url: url.replace("a%20b", "a%20b%00"),
        lambda url: url.replace("/a%20b", "//a%20b"),
        lambda url: url.replace("a%20b", "a%20b%ff"),
        lambda url: url.replace("expires=", "expires=9"),
        lambda url: url.replace("expires=", "expires=%D9%A1"),
        lambda url: url.replace("expires=", "expires=%2B"),
        lambda url: url.partition("&signature=")[0],
        lambda url: url.partition("&signature=")[0] + "&signature=%C3%A9",
        lambda url: url[:-1],
        lambda url: url.partition("?")[0],
    ],
)  # fmt: skip
def test_changed_address_leads_nowhere(folder, change):
    url = folder.download_url(KEY)
    assert change(url) != url
    assert get(folder, change(url)) is None


def test_address_ends_with_its_hour_and_with_the_file(folder, clock):
    url = folder.download_url(KEY)
    clock.now_ms += (URL_S - 1) * 1000
    assert get(folder, url)[0] == 200
    clock.now_ms += 2_000
    assert get(folder, url) is None
    url = folder.download_url(KEY)
    folder.delete(KEY)
    assert get(folder, url) is None
    assert get(folder, folder.download_url(quote(KEY))) is None


def test_client_that_goes_away_ends_the_reading(folder, tmp_path):
    (tmp_path / "files" / KEY).write_bytes(b"x" * (_PIECE_BYTES * 50))
    assert get(folder, folder.download_url(KEY), leaves_after=3)[3] < 8
