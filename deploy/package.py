"""``python -m deploy.package`` writes the Lambda's zip, and templates of it all for CloudFormation and Terraform."""

import argparse
import json
from pathlib import Path

from chalicelib import routes
from deploy import chalice, template, terraform
from deploy.names import stage_name

ZIP_BYTES = 36_000_000
"""The zip may not be larger: a Lambda with a larger zip starts more slowly."""


def package(folder: Path, stage: str, *, has_mqtt: bool = True) -> None:
    """Write ``deployment.zip``, ``sam.json`` and ``terraform/`` into a folder, in place of what an earlier run wrote.

    First writes the stage's part of ``.chalice/config.json`` and its policies, since Chalice reads them.

    Args:
        folder: where to write.
        stage: the stage to describe.
        has_mqtt: whether the templates make the parts of MQTT.

    Raises:
        RuntimeError: the zip is larger than ``ZIP_BYTES``.
        subprocess.CalledProcessError: ``chalice package`` failed.
    """
    names, _ = chalice.configured(stage)
    chalice.write_config(names, may_reserve=chalice.reserves(stage), has_mqtt=has_mqtt)
    chalice.build_guest(stage)
    chalice.build_console()
    folder.mkdir(parents=True, exist_ok=True)
    extras = folder / "extras.json"
    extras.write_text(json.dumps(template.extras(stage, routes.ALL, has_mqtt=has_mqtt)))
    chalice.run("package", "--stage", stage, "--merge-template", str(extras), str(folder))
    extras.unlink()
    chalice.run("package", "--stage", stage, "--pkg-format", "terraform", str(folder / "terraform"))
    file = folder / "terraform/chalice.tf.json"
    document = terraform.complete(json.loads(file.read_text()), stage, routes.ALL, has_mqtt=has_mqtt)
    file.write_text(json.dumps(document, indent=2))
    size = (folder / "deployment.zip").stat().st_size
    if size > ZIP_BYTES:
        raise RuntimeError(f"The zip has {size} bytes. It may have {ZIP_BYTES}")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m deploy.package", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("build"), help="where to write; default: build")
    parser.add_argument("--stage", type=stage_name, default="dev", help="the stage to describe; default: dev")
    parser.add_argument("--no-mqtt", action="store_true", help="leave MQTT out, as another stage of the account has it")
    options = parser.parse_args()
    package(options.folder, options.stage, has_mqtt=not options.no_mqtt)
    for path in ("deployment.zip", "sam.json", "terraform/chalice.tf.json"):
        print(f"{options.folder / path}: {(options.folder / path).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
