"""Every path of the embedded HubSpot, in each generation of the API, with what a token needs for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stagesync.sandbox.hubspot import account_api, associations_api, batch_api, objects_api, settings_api
from stagesync.sandbox.hubspot.calls import Call, Reply

DATED = ("2026-03", "2026-09")
Handler = Callable[[Call], Reply]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One thing a client can ask for. ``scope`` has ``{object}`` for the object's own scope family."""

    method: str
    handler: Handler
    paths: tuple[str, ...]
    scope: str | None = None
    search: bool = False
    open: bool = False
    versions: tuple[str, ...] = DATED

    def templates(self) -> Iterator[tuple[str, str]]:
        """Pairs of API version and path template; ``{version}`` in a path stands for each dated one."""
        for path in self.paths:
            if "{version}" in path:
                for version in self.versions:
                    yield version, path.replace("{version}", version)
            else:
                yield next((part for part in path.split("/") if part in {"v1", "v2", "v3", "v4"}), "v3"), path


def _objects(method: str, rest: str, handler: Handler, access: str, *, search: bool = False) -> Operation:
    return Operation(
        method=method,
        handler=handler,
        paths=(f"/crm/v3/objects/{{object_type}}{rest}", f"/crm/objects/{{version}}/{{object_type}}{rest}"),
        scope=f"{{object}}.{access}",
        search=search,
    )


def _pairs(method: str, rest: str, handler: Handler, access: str) -> Operation:
    return Operation(
        method=method,
        handler=handler,
        paths=(
            f"/crm/v4/associations/{{from_type}}/{{to_type}}/{rest}",
            f"/crm/associations/{{version}}/{{from_type}}/{{to_type}}/{rest}",
        ),
        scope=f"{{object}}.{access}",
    )


def _linked(method: str, rest: str, handler: Handler, access: str, versions: tuple[str, ...] = DATED) -> Operation:
    return Operation(
        method=method,
        handler=handler,
        paths=(
            f"/crm/v4/objects/{{object_type}}/{{object_id}}/associations/{rest}",
            f"/crm/objects/{{version}}/{{object_type}}/{{object_id}}/associations/{rest}",
        ),
        scope=f"{{object}}.{access}",
        versions=versions,
    )


def _settings(method: str, area: str, rest: str, handler: Handler, scope: str) -> Operation:
    return Operation(
        method=method,
        handler=handler,
        paths=(f"/crm/v3/{area}{rest}", f"/crm/{area}/{{version}}{rest}"),
        scope=scope,
    )


def _account(method: str, handler: Handler, *paths: str, needs_token: bool = True) -> Operation:
    return Operation(method=method, handler=handler, paths=paths, open=not needs_token)


OPERATIONS = (
    _objects("POST", "/search", objects_api.search_records, "read", search=True),
    _objects("POST", "/merge", objects_api.merge_records, "write"),
    _objects("POST", "/batch/read", batch_api.batch_read, "read"),
    _objects("POST", "/batch/create", batch_api.batch_create, "write"),
    _objects("POST", "/batch/update", batch_api.batch_update, "write"),
    _objects("POST", "/batch/upsert", batch_api.batch_upsert, "write"),
    _objects("POST", "/batch/archive", batch_api.batch_archive, "write"),
    _objects("GET", "", objects_api.list_records, "read"),
    _objects("POST", "", objects_api.create_record, "write"),
    _objects("GET", "/{object_id}", objects_api.read_record, "read"),
    _objects("PATCH", "/{object_id}", objects_api.update_record, "write"),
    _objects("DELETE", "/{object_id}", objects_api.archive_record, "write"),
    _pairs("POST", "batch/read", associations_api.batch_read, "read"),
    _pairs("POST", "batch/create", associations_api.batch_create, "write"),
    _pairs("POST", "batch/archive", associations_api.batch_archive, "write"),
    _pairs("POST", "batch/associate/default", associations_api.batch_default, "write"),
    _pairs("POST", "batch/labels/archive", associations_api.batch_archive_labels, "write"),
    _pairs("GET", "labels", associations_api.labels, "read"),
    _linked("PUT", "default/{to_type}/{to_id}", associations_api.put_default, "write"),
    _linked("PUT", "{to_type}/{to_id}", associations_api.put_labelled, "write"),
    _linked("DELETE", "{to_type}/{to_id}", associations_api.delete_pair, "write"),
    # Gone from the 2026-09 files: batch/read is what is left.
    _linked("GET", "{to_type}", associations_api.list_of_one, "read", versions=("2026-03",)),
    Operation(
        method="POST",
        handler=associations_api.batch_read_v3,
        paths=("/crm/v3/associations/{from_type}/{to_type}/batch/read",),
        scope="{object}.read",
    ),
    _settings("GET", "owners", "", settings_api.list_owners, "crm.objects.owners.read"),
    # The official Python client adds a slash that the published path does not have.
    _settings("GET", "owners", "/", settings_api.list_owners, "crm.objects.owners.read"),
    _settings("GET", "owners", "/{owner_id}", settings_api.read_owner, "crm.objects.owners.read"),
    _settings("GET", "pipelines", "/{object_type}", settings_api.list_pipelines, "{schema}.read"),
    _settings("GET", "pipelines", "/{object_type}/{pipeline_id}", settings_api.read_pipeline, "{schema}.read"),
    _settings("GET", "pipelines", "/{object_type}/{pipeline_id}/stages", settings_api.list_stages, "{schema}.read"),
    _settings(
        "GET",
        "pipelines",
        "/{object_type}/{pipeline_id}/stages/{stage_id}",
        settings_api.read_stage,
        "{schema}.read",
    ),
    _settings("GET", "properties", "/{object_type}", settings_api.list_properties, "{schema}.read"),
    _settings("POST", "properties", "/{object_type}", settings_api.create_property, "{schema}.write"),
    _settings("GET", "properties", "/{object_type}/{property_name}", settings_api.read_property, "{schema}.read"),
    _settings(
        "DELETE", "properties", "/{object_type}/{property_name}", settings_api.archive_property, "{schema}.write"
    ),
    _account(
        "POST",
        account_api.refresh_token,
        "/oauth/v1/token",
        "/oauth/v3/token",
        "/oauth/{version}/token",
        needs_token=False,
    ),
    _account(
        "POST",
        account_api.token_info,
        "/oauth/v2/private-apps/get/access-token-info",
        needs_token=False,
    ),
    _account("GET", account_api.account_details, "/account-info/v3/details", "/account-info/{version}/details"),
    _account(
        "GET",
        account_api.api_usage,
        "/account-info/v3/api-usage/daily/private-apps",
        "/account-info/{version}/api-usage/daily/private-apps",
    ),
    _account("GET", account_api.dispositions, "/calling/v1/dispositions"),
)
