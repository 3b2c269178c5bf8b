"""Finds the device that a transfer is about, and how the given token reaches it."""

from typing import NamedTuple

from embedded.client import Api, Refused, Stopped

_DEVICES = ("mutable", "immutable", "hybrid", "legacy")


class Target(NamedTuple):
    """A device of a server."""

    api: Api
    device: str
    """Its id."""
    path: str
    """Of the route that reads its points with this token, and stores them if the token may."""

    def sending(self) -> "Target":
        """Return the target by which points are sent: with a token of the device, if this one can show it.

        TagoIO and Decant on AWS let no profile token send.
        """
        if self.path == "/data":
            return self
        try:
            tokens = self.api.pages(f"/device/token/{self.device}", ("name", "token", "permission"))
        except Refused:  # a token that must not see others may still send
            return self
        for token in tokens:
            if token.get("token") and token["permission"] in ("full", "write"):
                return Target(self.api.with_token(token["token"]), self.device, "/data")
        return self


def find(api: Api, device: str | None) -> Target:
    """Return the device of a token, or the one of a profile.

    Args:
        api: the server and the token.
        device: the id, if the token is of a profile.

    Raises:
        Stopped: there is no such device, or the token must not read it.
    """
    try:
        if device is not None:
            api.call("GET", f"/device/{device}")
            return Target(api, device, f"/device/{device}/data")
        info = api.call("GET", "/info")
    except Refused as error:
        hint = "" if device is not None else ". With a token of a profile, name the device with --device"
        raise Stopped(f"{api.url} refuses the token or the device: {error}{hint}") from None
    if info.get("type") not in _DEVICES:
        raise Stopped("This is no token of a device: with a token of a profile, name the device with --device")
    return Target(api, info["id"], "/data")
