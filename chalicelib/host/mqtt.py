"""What services ask of the MQTT broker: IoT Core's data plane on AWS, the broker beside it in the embedded mode."""

from typing import Any, Protocol

from chalicelib import errors
from chalicelib.host import log


class Broker(Protocol):
    """Delivers to devices and ends their sessions."""

    def publish(self, *, device: str, topic: str, payload: bytes, qos: int) -> None:
        """Deliver a message to the clients of a device that subscribe to the topic, and to no others.

        Raises:
            errors.Unavailable: it cannot be reached.
        """

    def disconnect(self, *, client_id: str) -> None:
        """End the session of a client, if it has one."""


class IotCore:
    """The broker on AWS. A device's clients subscribe below ``device/<its id>/``, so that is where a topic goes."""

    def __init__(self) -> None:
        import botocore.exceptions
        import botocore.session

        self._client: Any = botocore.session.get_session().create_client("iot-data")
        self._failures = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)

    def publish(self, *, device: str, topic: str, payload: bytes, qos: int) -> None:
        """See Broker."""
        try:
            self._client.publish(topic=f"device/{device}/{topic}", qos=qos, payload=payload)
        except self._failures as error:
            raise errors.Unavailable("The broker is not available, try again") from error

    def disconnect(self, *, client_id: str) -> None:
        """See Broker. When it fails, the session ends when IoT Core asks the authorizer again."""
        try:
            self._client.delete_connection(clientId=client_id, cleanSession=True, preventWillMessage=True)
        except self._failures as error:
            code = getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__)
            if code != "ResourceNotFoundException":
                log.line(function="broker", failed=code)


_current: list[Broker] = []


def current() -> Broker:
    """Return the broker of this process; the first call in Lambda makes the one on AWS."""
    if not _current:
        _current.append(IotCore())
    return _current[0]


def use(broker: Broker | None) -> None:
    """Set, or with None forget, the broker of this process."""
    _current[:] = [] if broker is None else [broker]
