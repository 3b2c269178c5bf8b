"""The MQTT broker as services use it: IoT Core's data plane on AWS, the embedded broker on one machine."""

from typing import Any, Protocol

from chalicelib import errors
from chalicelib.host import log
from chalicelib.host.slot import Slot


class Mqtt(Protocol):
    """Delivers messages to devices and ends their sessions."""

    def publish(self, *, device: str, topic: str, payload: bytes, qos: int) -> None:
        """Deliver a message to the device's clients that subscribe to the topic, and to no others.

        Raises:
            errors.Unavailable: the broker does not answer.
        """

    def disconnect(self, *, client_id: str) -> None:
        """End the session of a client, if it has one."""


class IotCore:
    """The broker on AWS. A device's clients subscribe below ``device/<its id>/``, so messages go there."""

    def __init__(self) -> None:
        import botocore.exceptions
        import botocore.session

        self._client: Any = botocore.session.get_session().create_client("iot-data")
        self._failures = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)

    def publish(self, *, device: str, topic: str, payload: bytes, qos: int) -> None:
        """See Mqtt."""
        try:
            self._client.publish(topic=f"device/{device}/{topic}", qos=qos, payload=payload)
        except self._failures as error:
            raise errors.Unavailable("The broker is not available, try again") from error

    def disconnect(self, *, client_id: str) -> None:
        """See Mqtt. If the call fails, the session ends when IoT Core asks the authorizer again."""
        try:
            self._client.delete_connection(clientId=client_id, cleanSession=True, preventWillMessage=True)
        except self._failures as error:
            code = getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__)
            if code != "ResourceNotFoundException":
                log.line("error", function="iot-core", failed=code)


def _iot_core() -> Mqtt:
    return IotCore()


_slot = Slot(_iot_core)
current, use = _slot.current, _slot.use
