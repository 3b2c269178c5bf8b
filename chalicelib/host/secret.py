"""The deployment's secret: from SSM on AWS, from a file in the embedded mode."""

from chalicelib import settings

_current: list[bytes] = []


def current() -> bytes:
    """Return the secret; in Lambda the first call reads it from the SSM parameter that the settings name."""
    if not _current:
        import botocore.session

        client = botocore.session.get_session().create_client("ssm")
        answer = client.get_parameter(Name=settings.current().secret_parameter, WithDecryption=True)
        _current.append(answer["Parameter"]["Value"].encode())
    return _current[0]


def use(secret: bytes) -> None:
    """Set the secret of this process."""
    _current[:] = [secret]
