"""The route table: one row for each route, one file for each noun."""

from chalicelib.http.route import Route
from chalicelib.routes import actions, chunks, data, devices, info, params, publications, tokens

ALL: tuple[Route, ...] = (
    *devices.ROUTES,
    *tokens.ROUTES,
    *params.ROUTES,
    *chunks.ROUTES,
    *actions.ROUTES,
    *publications.ROUTES,
    *info.ROUTES,
    *data.ROUTES,
)
