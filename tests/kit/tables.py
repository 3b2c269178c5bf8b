"""Makes both tables in moto, and empties them."""

from moto.dynamodb.models import dynamodb_backends

from chalicelib.store.models import EntityModel, SegmentModel


def create_tables():
    """Make both tables."""
    for model in (SegmentModel, EntityModel):
        model.create_table(wait=True)


def empty_tables():
    """Remove every item, also from the streams.

    moto sorts the whole table for each query, and copies it for each transaction: leftover items would slow down tests.
    """
    for account in dynamodb_backends.values():
        for region in account.values():
            for table in region.tables.values():
                table.items.clear()
                if table.stream_shard is not None:
                    table.stream_shard.items.clear()
