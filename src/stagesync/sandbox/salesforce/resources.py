"""The map of the REST API: which address and method lead to which function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from stagesync.sandbox.salesforce import batches, bulk, composite, rest
from stagesync.sandbox.salesforce.call import Answer, Call
from stagesync.sandbox.salesforce.errors import ApiError, not_found

Handler = Callable[[Call], Answer]


def _composite(call: Call) -> Answer:
    return composite.composite(call, dispatch)


def _graph(call: Call) -> Answer:
    return composite.graph(call, dispatch)


# Below /services/data/vNN.0; a fixed word goes before a placeholder in the same place.
TABLE: Mapping[str, Mapping[str, Handler]] = {
    "": {"GET": rest.resources},
    "limits": {"GET": rest.limits},
    "query": {"GET": rest.query},
    "queryAll": {"GET": rest.query_all},
    "query/{locator}": {"GET": rest.query_more},
    "queryAll/{locator}": {"GET": rest.query_more},
    "sobjects": {"GET": rest.global_describe},
    "sobjects/{sobject}": {"GET": rest.object_info, "POST": rest.create},
    "sobjects/{sobject}/describe": {"GET": rest.object_describe},
    "sobjects/{sobject}/updated": {"GET": rest.updated},
    "sobjects/{sobject}/deleted": {"GET": rest.deleted},
    "sobjects/{sobject}/{id}": {"GET": rest.read, "PATCH": rest.update, "DELETE": rest.delete},
    "sobjects/{sobject}/{key}/{value}": {
        "GET": rest.read_by_key,
        "PATCH": rest.upsert,
        "DELETE": rest.delete_by_key,
    },
    "composite": {"POST": _composite},
    "composite/graph": {"POST": _graph},
    "composite/sobjects": {"POST": batches.create, "PATCH": batches.update, "DELETE": batches.delete},
    "composite/sobjects/{sobject}": {"GET": batches.retrieve, "POST": batches.retrieve},
    "composite/sobjects/{sobject}/{key}": {"PATCH": batches.upsert},
    "ui-api/object-info/{sobject}/picklist-values/{recordType}/{field}": {"GET": rest.ui_picklist},
    "jobs/query": {"GET": bulk.every, "POST": bulk.create},
    "jobs/query/{id}": {"GET": bulk.read, "PATCH": bulk.abort, "DELETE": bulk.delete},
    "jobs/query/{id}/results": {"GET": bulk.results},
}
_SPLIT = sorted(
    ((tuple(template.split("/")) if template else (), template) for template in TABLE),
    key=lambda entry: sum(part.startswith("{") for part in entry[0]),
)


def find(segments: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """The template of an address and what its placeholders hold.

    Raises:
        ApiError: 404.
    """
    for parts, template in _SPLIT:
        if len(parts) == len(segments) and all(
            part.startswith("{") or part == segment for part, segment in zip(parts, segments, strict=True)
        ):
            captured = {
                part[1:-1]: segment for part, segment in zip(parts, segments, strict=True) if part.startswith("{")
            }
            return template, captured
    raise not_found()


def dispatch(call: Call) -> Answer:
    """Carry out a call whose user and version are known.

    Raises:
        ApiError: any refusal.
    """
    segments = call.segments if call.segments != ("",) else ()
    if segments and segments[-1] == "":
        segments = segments[:-1]
    template, captured = find(segments)
    handler = TABLE[template].get(call.method)
    if handler is None:
        allowed = ",".join(sorted(TABLE[template]))
        message = f"HTTP Method '{call.method}' not allowed. Allowed are {allowed}"
        raise ApiError(405, "METHOD_NOT_ALLOWED", message)
    return handler(replace(call, captured=captured))
