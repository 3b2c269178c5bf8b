"""The DynamoDB tables as PynamoDB models, all on one botocore client."""

from typing import Any, ClassVar

from pynamodb.attributes import BinaryAttribute, BooleanAttribute, JSONAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.connection.base import Connection, MetaTable
from pynamodb.connection.table import TableConnection
from pynamodb.constants import STREAM_NEW_AND_OLD_IMAGE
from pynamodb.models import Model

from chalicelib import settings
from chalicelib.codec import jsontext
from chalicelib.host import aws


class _Shared(Model):
    """A model on the only client of this process. Each further client would take 50 to 130 ms to make."""

    _client_holder: ClassVar[list[Any]] = []

    @classmethod
    def _get_connection(cls) -> TableConnection:
        connection = super()._get_connection()
        holder = _Shared._client_holder
        if not holder:
            aws.limit(connection.connection.client)
            holder.append(connection.connection)
        elif connection.connection is not holder[0]:
            table: MetaTable = connection.connection.get_meta_table(connection.table_name)
            connection.connection = holder[0]
            holder[0].add_meta_table(table)
        return connection

    @classmethod
    def shared(cls) -> Connection:
        """Return the connection that all models use."""
        return cls._get_connection().connection


class _Meta:
    connect_timeout_seconds = aws.CONNECT_TIMEOUT_S
    read_timeout_seconds = aws.READ_TIMEOUT_S
    max_retry_attempts = aws.RETRIES
    billing_mode = "PAY_PER_REQUEST"


class SegmentModel(_Shared):
    """A segment: the points of one request, of one device and at most one UTC hour."""

    class Meta(_Meta):
        """The table."""

        table_name = settings.current().segments_table
        stream_view_type = STREAM_NEW_AND_OLD_IMAGE

    device = UnicodeAttribute(hash_key=True)
    key = UnicodeAttribute(range_key=True)
    body = BinaryAttribute(legacy_encoding=False)
    digest = BinaryAttribute(legacy_encoding=False)
    points = NumberAttribute()
    version = NumberAttribute()
    profile = UnicodeAttribute(null=True)
    expires_at = NumberAttribute(null=True)
    imported = BooleanAttribute(null=True)
    """Whether a file brought it, so that it does not count as input. Only in what was put first."""


class _DocAttribute(JSONAttribute):
    """JSON in UTF-8. PynamoDB would escape what is not ASCII, and an emoji would take 12 bytes instead of 4."""

    def serialize(self, value: Any) -> str | None:
        """Return the text to store."""
        return None if value is None else jsontext.dumps(value)


class EntityModel(_Shared):
    """A named document of an owner: profile, device, token, parameter, directory."""

    class Meta(_Meta):
        """The table."""

        table_name = settings.current().entities_table

    owner = UnicodeAttribute(hash_key=True)
    name = UnicodeAttribute(range_key=True)
    doc: JSONAttribute = _DocAttribute()
    version = NumberAttribute()
    expires_at = NumberAttribute(null=True)


def forget_client() -> None:
    """Drop the shared client and every model's connection. For tests that change the endpoint."""
    _Shared._client_holder.clear()
    for model in (SegmentModel, EntityModel):
        model._connection = None
