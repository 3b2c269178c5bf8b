"""The route table: one row for each route, one file for each noun."""

from chalicelib.http.route import Route
from chalicelib.routes import (
    accounts,
    actions,
    analyses,
    audit,
    chunks,
    data,
    devices,
    info,
    params,
    policies,
    profile_tokens,
    profiles,
    publications,
    run_users,
    service_authorizations,
    tags,
    teams,
    tokens,
)

ALL: tuple[Route, ...] = (
    *devices.ROUTES,
    *tokens.ROUTES,
    *params.ROUTES,
    *chunks.ROUTES,
    *actions.ROUTES,
    *publications.ROUTES,
    *policies.ROUTES,
    *analyses.ROUTES,
    *run_users.ROUTES,
    *profiles.ROUTES,
    *profile_tokens.ROUTES,
    *teams.ROUTES,
    *service_authorizations.ROUTES,
    *tags.ROUTES,
    *audit.ROUTES,
    *info.ROUTES,
    *data.ROUTES,
    *accounts.ROUTES,
)
