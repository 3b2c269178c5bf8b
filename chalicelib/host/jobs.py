"""Asks for work on the backup or restore of a device. On AWS it calls the function ``files``, and does not wait.

Lambda keeps such calls in a queue of its own. One of SQS would cost 0.39 dollars a month, as Lambda asks it all the
time.
"""

from collections.abc import Callable

import orjson

from chalicelib import errors, settings
from chalicelib.host.slot import Slot


def ask(*, device: str) -> None:
    """Ask for work on the job of a device. In the embedded mode it does nothing: a chore looks for jobs.

    Raises:
        errors.Unavailable: Lambda did not take it.

    Cost: one call on AWS.
    """
    _slot.current()(device)


def nobody(_device: str) -> None:
    """Ask nobody: where a chore looks for jobs."""


def _in_lambda() -> Callable[[str], None]:
    from chalicelib.host import aws

    client, name = aws.client("lambda"), settings.current().files_function

    def call(device: str) -> None:
        try:
            client.invoke(FunctionName=name, InvocationType="Event", Payload=orjson.dumps({"device": device}))
        except aws.FAILURES as error:
            raise errors.Unavailable("The function of files is not available, try again") from error

    return call


_slot = Slot(_in_lambda)
use = _slot.use
