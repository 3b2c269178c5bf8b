"""Makes both tables in moto, and empties them."""

import copy

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
    for table in _tables():
        table.items.clear()
        _forget_stream(table)


def _forget_stream(table):
    if table.stream_shard is not None:
        table.stream_shard.items.clear()


def _tables():
    return [
        table
        for account in dynamodb_backends.values()
        for region in account.values()
        for table in region.tables.values()
    ]


def snapshot():
    """Return a function that puts back what the tables hold now."""
    held = [copy.deepcopy(table.items) for table in _tables()]

    def restore():
        for table, items in zip(_tables(), held, strict=True):
            table.items = copy.deepcopy(items)
            _forget_stream(table)

    return restore
