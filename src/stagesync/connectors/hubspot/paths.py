"""Every address of HubSpot's API that StageSync uses, by API version. No other module spells one.

The dated versions have the same bodies as the legacy ones
(https://developers.hubspot.com/docs/api-reference/legacy/migration-guide, read 2026-11-21). Support for v4
ends on 2027-03-30, for v3 in September 2027. From 2026-09 on, writes are checked against the portal's own
rules (https://developers.hubspot.com/changelog/crm-api-write-validation-enforcement), so it is a choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Templates; ``{object}``, ``{source}``, ``{target}`` and ``{id}`` are filled in percent-encoded.

    ``account`` says which portal a token belongs to; ``token_info`` stands in where it does not answer, and says what
    the token may do. It and ``dispositions`` have no successor in the dated versions.
    """

    list: str
    search: str
    create: str
    batch_read: str
    batch_update: str
    batch_upsert: str
    associations_read: str
    association_labels: str
    associate: str
    pipelines: str
    properties: str
    owners: str
    account: str
    usage: str
    token: str
    dispositions: str = "/calling/v1/dispositions"
    token_info: str = "/oauth/v2/private-apps/get/access-token-info"  # noqa: S105 - an address, not a token


def _dated(version: str) -> Paths:
    return Paths(
        list=f"/crm/objects/{version}/{{object}}",
        search=f"/crm/objects/{version}/{{object}}/search",
        create=f"/crm/objects/{version}/{{object}}",
        batch_read=f"/crm/objects/{version}/{{object}}/batch/read",
        batch_update=f"/crm/objects/{version}/{{object}}/batch/update",
        batch_upsert=f"/crm/objects/{version}/{{object}}/batch/upsert",
        associations_read=f"/crm/associations/{version}/{{source}}/{{target}}/batch/read",
        association_labels=f"/crm/associations/{version}/{{source}}/{{target}}/labels",
        associate=f"/crm/associations/{version}/{{source}}/{{target}}/batch/associate/default",
        pipelines=f"/crm/pipelines/{version}/{{object}}",
        properties=f"/crm/properties/{version}/{{object}}",
        owners=f"/crm/owners/{version}",
        account=f"/account-info/{version}/details",
        usage=f"/account-info/{version}/api-usage/daily/private-apps",
        token=f"/oauth/{version}/token",
    )


PATHS: Mapping[str, Paths] = {
    "v3": Paths(
        list="/crm/v3/objects/{object}",
        search="/crm/v3/objects/{object}/search",
        create="/crm/v3/objects/{object}",
        batch_read="/crm/v3/objects/{object}/batch/read",
        batch_update="/crm/v3/objects/{object}/batch/update",
        batch_upsert="/crm/v3/objects/{object}/batch/upsert",
        associations_read="/crm/v4/associations/{source}/{target}/batch/read",
        association_labels="/crm/v4/associations/{source}/{target}/labels",
        associate="/crm/v4/associations/{source}/{target}/batch/associate/default",
        pipelines="/crm/v3/pipelines/{object}",
        properties="/crm/v3/properties/{object}",
        owners="/crm/v3/owners",
        account="/account-info/v3/details",
        usage="/account-info/v3/api-usage/daily/private-apps",
        token="/oauth/v1/token",  # noqa: S106 - an address, not a token
    ),
    "2026-03": _dated("2026-03"),
    "2026-09": _dated("2026-09"),
}
