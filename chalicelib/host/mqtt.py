"""The MQTT broker as services use it: IoT Core's data plane on AWS, the embedded broker on one machine."""

from typing import Any, Protocol

from chalicelib import errors, settings
from chalicelib.codec import topics
from chalicelib.host import log
from chalicelib.host.slot import Slot


class Mqtt(Protocol):
    """Delivers messages to devices and ends their sessions."""

    def publish(self, *, device: str, topic: str, payload: bytes, qos: int) -> None:
        """Deliver a message to the device's clients that subscribe to the topic, and to no others.

        Raises:
            errors.BadRequest: there is no broker.
            errors.Unavailable: the broker does not answer.
        """

    def disconnect(self, *, client_id: str) -> None:
        """End the session of a client, if it has one."""


class IotCore:
    """The broker on AWS. A device's clients subscribe below ``device/<its id>/``, so messages go there."""

    def __init__(self) -> None:
        from chalicelib.host import aws

        self._client: Any = aws.client("iot-data")
        self._failures = aws.FAILURES

    def publish(self, *, device: str, topic: str, payload: bytes, qos: int) -> None:
        """See Mqtt."""
        try:
            self._client.publish(topic=topics.of_device(device, topic), qos=qos, payload=payload)
        except self._failures as error:
            raise errors.Unavailable("The broker is not available, try again") from error

    def disconnect(self, *, client_id: str) -> None:
        """See Mqtt. If the call fails, the session ends when IoT Core asks the authorizer again."""
        try:
            self._client.delete_connection(clientId=client_id, cleanSession=True, preventWillMessage=True)
        except self._failures as error:
            code = log.cause(error)
            if code != "ResourceNotFoundException":
                log.line("error", function="iot-core", failed=code)


class NoBroker:
    """What a stage without MQTT has instead."""

    def publish(self, **_: Any) -> None:
        """See Mqtt."""
        raise errors.BadRequest("This deployment has no MQTT")

    def disconnect(self, **_: Any) -> None:
        """See Mqtt."""


def _on_aws() -> Mqtt:
    return IotCore() if settings.current().mqtt else NoBroker()


_slot = Slot(_on_aws)
current, use = _slot.current, _slot.use
