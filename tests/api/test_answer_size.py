"""The size of an answer, as Lambda counts it: the answer's text is escaped once more, inside a JSON text."""

import json

import pytest

from chalicelib import errors, settings
from chalicelib.codec import jsontext
from chalicelib.http import answers
from chalicelib.http.answers import Json
from deploy import runtime
from tests.kit.world import World, point

LAMBDA_BYTES = 6_291_556
"""Source: "Response payload size exceeded maximum allowed payload size (6291556 bytes)", Lambda's error."""
KINDS = {
    "plain": "x",
    "quote": '"',
    "backslash": "\\",
    "line end": "\n",
    "control": "\x01",
    "delete": "\x7f",
    "umlaut": "ü",
    "separator": "\u2028",
    "emoji": "\U0001f600",
    "mixed": 'a"\\\n\x01ü\u2029\U0001f600',
}


def sent_bytes(response):
    """Return the length of what Python 3.12's runtime sends for an answer."""
    answers.identify(response, "0" * 36)
    text = json.dumps(response.to_dict([]), ensure_ascii=False)
    return len(text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode())


def test_runtime_is_the_one_whose_escapes_are_counted():
    """Later runtimes write what is not ASCII as ``\\uXXXX``: six bytes a character, and twelve an emoji."""
    assert runtime.VERSION == "3.12"


@pytest.mark.parametrize("kind", KINDS)
def test_largest_answer_fits_into_lambda_and_the_next_is_refused(kind):
    text = KINDS[kind]
    fits, too_large = 0, 6_000_000 // len(text)
    while too_large - fits > 1:
        count = (fits + too_large) // 2
        try:
            answers.ok(text * count)
            fits = count
        except errors.TooLarge as error:
            assert error.message == "The answer is over 5 MB: ask for less"
            too_large = count
    largest = answers.ok(text * fits)
    assert sent_bytes(largest) <= LAMBDA_BYTES
    next_bytes = len(jsontext.dumps(text * too_large).encode())
    next_sent = sent_bytes(answers.respond(f'{{"status":true,"result":{jsontext.dumps(text * too_large)}}}'))
    assert next_bytes > settings.MAX_ANSWER_BYTES or next_sent > settings.MAX_SENT_BYTES, "no smaller answer is refused"


def test_characters_are_not_taken_for_bytes():
    with pytest.raises(errors.TooLarge):
        answers.ok(Json('"' + "\U0001f600" * 1_300_000 + '"'))


def test_points_full_of_quotes_are_refused_before_lambda_would(sqlite):
    world = World()
    for number in range(20):
        world.send(*[point("a", '"' * 2_900 + str(number * 30 + index)) for index in range(30)])
    answer = world.api.get("/data", query={"qty": 600})
    assert (answer.status, answer.message) == (413, "The answer is over 5 MB: ask for less")
    half = world.api.get("/data", query={"qty": 500})
    assert half.status == 200 and len(half.text.encode()) < 3_200_000
    assert len(json.dumps(half.text).encode()) < LAMBDA_BYTES
