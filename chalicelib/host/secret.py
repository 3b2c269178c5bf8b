"""The deployment's secret: from SSM on AWS, from a file in the embedded mode."""

from chalicelib import errors, settings
from chalicelib.host.slot import Slot


def _from_ssm() -> bytes:
    from chalicelib.host import aws

    try:
        answer = aws.client("ssm").get_parameter(Name=settings.current().secret_parameter, WithDecryption=True)
    except aws.FAILURES as error:
        raise errors.Unavailable("The secret is not available, try again") from error
    text: str = answer["Parameter"]["Value"]
    return text.encode()


_slot = Slot(_from_ssm)
current, use = _slot.current, _slot.use
