"""The command ``init``: it completes a stage that CloudFormation or Terraform made."""

import sys

from chalicelib import routes
from deploy import commands, gateway, lock, spec, storage
from deploy.parts import Cloud


def init(cloud: Cloud) -> int:
    """Make what a template cannot: the secret, the first account and profile, and the API keys of all profiles.

    Looks at each first, so a second run changes nothing. Prints password and token at once; no later run does.

    Returns:
        1 if a table or usage plan is missing; then nothing was made. Otherwise 0.
    """
    commands.print_place(cloud)
    of_template = [
        *(storage.table(cloud, name) for name in spec.tables(cloud.names)),
        *gateway.usage_plans(cloud, "", routes.ALL),
    ]
    missing = [f"{part.kind} {part.name}" for part in of_template if part.look() is None]
    if missing:
        print(
            f"Missing: {', '.join(missing)}. Deploy the template of stage {cloud.stage} first, then run this again",
            file=sys.stderr,
        )
        return 1
    with lock.held(cloud, "init"):
        commands.ensure(storage.secret(cloud))
        commands.give_access(cloud)
    return 0
