"""Makes moto answer DynamoDB calls faster, with the same answers. It spares what no test needs.

* For each attribute of an answer, moto tries the names under which an object of its own could hold it. DynamoDB's
  answers are plain dicts with the names of the API.
* For each request, it lists the methods of its response class, builds the patterns of DynamoDB's URLs, and draws each
  letter of the request's id. botocore composes the user agent again, and signs what moto does not check.
* It reads each letter of a condition again, though a program has few conditions.
* For each part of a transaction, it copies the whole table, its stream too. Here, the copy shares the rows, as all parts
  but an update replace a row and leave the old one as it is.
* It keeps every row and every copy of one until the process ends, so that the garbage collector looks at ever more.
"""

import collections
import copy
import functools
import string
from types import FunctionType, SimpleNamespace
from typing import Any, cast

from botocore.auth import SigV4Auth
from botocore.useragent import UserAgentString
from moto.core import responses
from moto.core.base_backend import BaseBackend
from moto.core.common_models import BaseModel
from moto.core.serialize import ResponseSerializer
from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.models import DynamoDBBackend
from moto.moto_api._internal import mock_random

LETTERS = string.ascii_letters + string.digits


def quicken():
    """Replace the slow steps of moto."""
    names, urls = cast(Any, responses), cast(Any, functools.cached_property(vars(BaseBackend)["urls"].fget))
    urls.__set_name__(DynamoDBBackend, "urls")
    replaced: list[tuple[Any, str, Any]] = [
        (ResponseSerializer, "get_value", _value_of),
        (responses, "method_names_from_class", functools.cache(names.method_names_from_class)),
        (DynamoDBBackend, "urls", urls),
        (mock_random, "get_random_string", _random_text),
        (UserAgentString, "to_string", functools.lru_cache(64)(UserAgentString.to_string)),
        (SigV4Auth, "add_auth", _sign),
        (ConditionExpressionParser, "_lex_condition_expression", _nodes_of),
        (DynamoDBBackend, "transact_write_items", _transact),
        (BaseModel, "__new__", lambda cls, *_, **__: object.__new__(cls)),
    ]
    for owner, name, quick in replaced:
        setattr(owner, name, quick)


_sign_slowly = SigV4Auth.add_auth
_search = ResponseSerializer.get_value
_lex = ConditionExpressionParser._lex_condition_expression


def _value_of(serializer, container, key, shape):
    """Return an attribute of an answer: by its name if the answer is DynamoDB's, else as moto does."""
    if type(container) is dict and serializer.operation_model.service_model.service_name == "dynamodb":
        return container.get(key)
    return _search(serializer, container, key, shape)


def _sign(auth, request):
    """Sign a request; one to DynamoDB only with the name of its key."""
    if auth.credentials is None or auth._service_name != "dynamodb":
        _sign_slowly(auth, request)
        return
    del request.headers["Authorization"]  # that of an earlier attempt; no error if there is none
    scope = f"{auth.credentials.access_key}/20260101/{auth._region_name}/dynamodb/aws4_request"
    request.headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"


def _random_text(length=20, include_digits=True, lower_case=False):
    """Return random letters."""
    text = "".join(mock_random.choices(LETTERS if include_digits else string.ascii_letters, k=length))
    return text.lower() if lower_case else text


@functools.cache
def _lexed(expression):
    return tuple(_lex(ConditionExpressionParser(expression, None, None)))


def _nodes_of(parser):
    """Return the words of a condition."""
    return collections.deque(_lexed(parser.condition_expression))


def _copy(table):
    """Return a copy of a table that shares its rows."""
    copied = copy.copy(table)
    copied.items = collections.defaultdict(dict)
    for key, rows in table.items.items():
        copied.items[key] = dict(rows) if table.has_range_key else rows
    if table.stream_shard is not None:
        copied.stream_shard = copy.copy(table.stream_shard)
        copied.stream_shard.table, copied.stream_shard.items = copied, [*table.stream_shard.items]
    return copied


_transact_slowly = DynamoDBBackend.transact_write_items
_transact_quickly = FunctionType(
    _transact_slowly.__code__, {**_transact_slowly.__globals__, "copy": SimpleNamespace(deepcopy=_copy)}
)


def _transact(backend, parts):
    """Carry out a transaction. An update changes a row in place, so the copy of the table must not share it."""
    is_update = any("Update" in part for part in parts)
    return (_transact_slowly if is_update else _transact_quickly)(backend, parts)
