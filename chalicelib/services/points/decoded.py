"""Keeps the sealed segments that were read last decoded. Whatever they hold, they take at most so much memory."""

import threading
from collections import OrderedDict
from sys import getsizeof

from chalicelib.codec import sealed
from chalicelib.codec.sealed import Sealed
from chalicelib.codec.segment import SealedItem

MAX_SEGMENTS, MAX_BYTES = 32, 20_000_000
"""How many segments stay decoded, and how many bytes they may take together, by their weights."""
_POINT_BYTES, _TEMPLATE_BYTES, _MOVE_BYTES = 400, 1_000, 500
"""What a point, a template and a move take besides their texts. Measured, see tests/services/test_decoded.py."""
_OBJECT_CHARS = 160
"""What the JSON object of a point has besides the texts of its template and columns."""
_lock = threading.Lock()
_kept: OrderedDict[SealedItem, tuple[Sealed, int]] = OrderedDict()
"""The segments and their weights; the one that was read last is at the end."""


def decode(item: SealedItem) -> Sealed:
    """Read a sealed segment, or return the one that was decoded from an equal item before. Do not change it.

    Several threads may use it at once: whichever computes a field of it first, the others would find the same.
    """
    with _lock:
        if item in _kept:
            _kept.move_to_end(item)
            return _kept[item][0]
    segment = sealed.decode(item)
    weight_bytes = weight(item, segment)
    if weight_bytes <= MAX_BYTES:
        with _lock:
            _kept[item] = segment, weight_bytes
            while len(_kept) > MAX_SEGMENTS or sum([of for _, of in _kept.values()]) > MAX_BYTES:
                _kept.popitem(last=False)
    return segment


def weight(item: SealedItem, segment: Sealed) -> int:
    """Return about how many bytes a segment takes with all that it computes on demand, and with its item."""
    templates, points = segment.templates, len(segment.offsets)
    shared = [template.start + template.middle for template in templates]
    lengths = [*map(len, shared)]
    objects = sum(map(lengths.__getitem__, segment.shapes)) + _OBJECT_CHARS * points
    chars = objects + 3 * sum(lengths) + 3 * len(segment.texts)
    moves = len(segment.moves) + len(segment.moved)
    of_each = _POINT_BYTES * points + _TEMPLATE_BYTES * len(templates) + _MOVE_BYTES * moves
    return chars * _width("".join([segment.texts, *shared])) + of_each + len(item.body) + len(item.summary)


def _width(text: str) -> int:
    """Return how many bytes each character of a text takes: as many as its widest one needs."""
    return 1 if text.isascii() else (getsizeof(text + text) - getsizeof(text)) // len(text)


def clear() -> None:
    """Forget all."""
    with _lock:
        _kept.clear()
