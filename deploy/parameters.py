"""What a deployer sets in a template: parameters of CloudFormation, variables of Terraform."""

from dataclasses import dataclass

from deploy import spec
from deploy.names import Names


@dataclass(frozen=True)
class Parameter:
    """A value that the templates leave to the deployer."""

    name: str
    """As Terraform spells it. CloudFormation has ``MqttName`` for ``mqtt_name``."""
    default: str | int
    description: str


MQTT_NAME, ALARM_TOPIC = "mqtt_name", "alarm_topic_arn"
CONCURRENCY = {key: f"{key}_concurrency".replace("-", "_") for key in spec.FUNCTIONS if spec.FUNCTIONS[key].concurrency}
"""The name of the parameter by function, for functions that reserve concurrency."""


def parameters(stage: str, *, has_mqtt: bool) -> list[Parameter]:
    """Return the parameters of the templates of a stage.

    Args:
        stage: its name.
        has_mqtt: whether the templates make the parts of MQTT.
    """
    reserved = [
        Parameter(
            name,
            spec.FUNCTIONS[key].concurrency or 0,
            f"Reserved concurrency of {key}. 0 reserves none, as a new account needs, which has ten in all",
        )
        for key, name in CONCURRENCY.items()
    ]
    mqtt = Parameter(
        MQTT_NAME,
        Names(stage).mqtt,
        "Name of the MQTT endpoint and of its authorizer. Choose another one if an earlier deployment left its own",
    )
    return [
        *([mqtt] if has_mqtt else []),
        Parameter(ALARM_TOPIC, "", "ARN of the SNS topic that the alarms notify. Empty: none"),
        *reserved,
    ]
