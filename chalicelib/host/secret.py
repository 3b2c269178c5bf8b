"""The deployment's secret: from SSM on AWS, from a file in the embedded mode."""

from chalicelib import settings
from chalicelib.host.slot import Slot


def _from_ssm() -> bytes:
    import botocore.session

    client = botocore.session.get_session().create_client("ssm")
    answer = client.get_parameter(Name=settings.current().secret_parameter, WithDecryption=True)
    text: str = answer["Parameter"]["Value"]
    return text.encode()


_slot = Slot(_from_ssm)
current, use = _slot.current, _slot.use
