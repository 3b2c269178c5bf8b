"""The MQTT broker as services use it: IoT Core's data plane on AWS, the embedded broker on one machine."""

from typing import Any, Protocol

from chalicelib import errors, settings
from chalicelib.codec import topics
from chalicelib.host import log
from chalicelib.host.slot import Slot

_MAX_QOS = 1
"""The highest QoS of IoT Core."""


class Mqtt(Protocol):
    """Delivers messages to devices and ends their sessions."""

    def publish(self, *, device: str, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        """Deliver a message to the device's clients that subscribe to the topic, and to no others.

        Args:
            device: the device.
            topic: in the device's topic space.
            payload: the message.
            qos: 0, 1 or 2. IoT Core delivers 2 as 1.
            retain: whether clients that subscribe later get it too, until another message with ``retain`` comes. One
                without payload ends that.

        Raises:
            errors.BadRequest: there is no broker.
            errors.Unavailable: the broker does not answer.
        """

    def disconnect(self, *, client_id: str) -> None:
        """End the session of a client, if it has one."""

    def forget(self, *, device: str) -> None:
        """Delete what the broker keeps of an erased device: sessions, waiting messages and retained messages.

        Raises:
            errors.Unavailable, deadline.TooLong: not all is deleted; a retry resumes.
        """


class IotCore:
    """The broker on AWS. A device's clients subscribe below ``device/<its id>/``, so messages go there."""

    def __init__(self) -> None:
        from chalicelib.host import aws

        self._client: Any = aws.client("iot-data")
        self._failures = aws.FAILURES

    def publish(self, *, device: str, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        """See Mqtt."""
        try:
            topic, qos = topics.of_device(device, topic), min(qos, _MAX_QOS)
            self._client.publish(topic=topic, qos=qos, payload=payload, retain=retain)
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

    def forget(self, *, device: str) -> None:
        """See Mqtt. IoT Core lists what it retains of an account only, and no client can subscribe to it."""


class NoBroker:
    """What a stage without MQTT has instead."""

    def publish(self, **_: Any) -> None:
        """See Mqtt."""
        raise errors.BadRequest("This deployment has no MQTT")

    def disconnect(self, **_: Any) -> None:
        """See Mqtt."""

    def forget(self, **_: Any) -> None:
        """See Mqtt."""


def _on_aws() -> Mqtt:
    return IotCore() if settings.current().mqtt else NoBroker()


_slot = Slot(_on_aws)
current, use = _slot.current, _slot.use
