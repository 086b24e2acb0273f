"""Describe: what the objects and fields are, in the words of ``/sobjects`` and ``/sobjects/X/describe``."""

from __future__ import annotations

from typing import Any

from stagesync.sandbox.salesforce.fields import NUMBER_TYPES, Field, SObject
from stagesync.sandbox.salesforce.org import Org
from stagesync.sandbox.salesforce.schema import CHILDREN, SOBJECTS

Record = dict[str, Any]
# Picklists whose values are rows: (object, field) -> the table of values.
VALUE_TABLES = {
    ("Opportunity", "StageName"): "OpportunityStage",
    ("Lead", "Status"): "LeadStatus",
    ("Task", "Status"): "TaskStatus",
    ("Task", "Priority"): "TaskPriority",
}
_SOAP = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    **dict.fromkeys(("currency", "double", "percent"), "xsd:double"),
}
# The record type of all records without one.
MASTER = "012000000000000AAA"
_UNGROUPABLE = {"datetime", "textarea", "currency", "double", "percent"}


def picklist_values(org: Org, item: SObject, field: Field) -> list[Record]:
    """The values offered by a picklist: ``active``, ``defaultValue``, ``label``, ``validFor``, ``value``."""
    table = VALUE_TABLES.get((item.name, field.name))
    if table is None:
        return [_value(value, value, default=value == field.default) for value in field.picklist]
    rows = org.database.rows(f'SELECT * FROM "{table}" ORDER BY "SortOrder"')
    return [
        _value(row["ApiName"], row["MasterLabel"], default=bool(row.get("IsDefault")), active=row.get("IsActive", 1))
        for row in rows
    ]


def _value(value: str, label: str, *, default: bool, active: Any = True) -> Record:
    return {"active": bool(active), "defaultValue": default, "label": label, "validFor": None, "value": value}


def _field(org: Org, item: SObject, field: Field) -> Record:
    writable = item.writable and not org.faults.forbids(item.name, field.name)
    number = field.type in NUMBER_TYPES
    return {
        "aggregatable": field.type != "boolean" and field.filterable,
        "aiPredictionField": False,
        "autoNumber": False,
        "byteLength": field.length * 3 if field.type not in {"id", "reference"} else 18,
        "calculated": field.computed is not None,
        "calculatedFormula": None,
        "cascadeDelete": False,
        "caseSensitive": False,
        "compoundFieldName": "Name" if field.name in {"FirstName", "LastName"} else None,
        "controllerName": None,
        "createable": field.createable and writable,
        "custom": field.custom,
        "defaultValue": bool(field.default) if field.type == "boolean" else None,
        "defaultValueFormula": None,
        "defaultedOnCreate": not field.nillable and field.name not in item.required,
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "digits": 8 if field.type == "int" else 0,
        "displayLocationInDecimal": False,
        "encrypted": False,
        "externalId": field.external_id,
        "extraTypeInfo": None,
        "filterable": field.filterable,
        "filteredLookupInfo": None,
        "formulaTreatNullNumberAsZero": False,
        "groupable": field.filterable and field.type not in _UNGROUPABLE,
        "highScaleNumber": False,
        "htmlFormatted": False,
        "idLookup": field.type == "id" or field.external_id,
        "inlineHelpText": None,
        "label": field.label or field.name,
        "length": field.length,
        "mask": None,
        "maskType": None,
        "name": field.name,
        "nameField": field.name in {"Name", "Subject"},
        "namePointing": field.polymorphic,
        "nillable": field.nillable,
        "permissionable": field.nillable,
        "picklistValues": picklist_values(org, item, field) if field.type == "picklist" else [],
        "polymorphicForeignKey": field.polymorphic,
        "precision": 18 if number and field.type != "int" else 0,
        "queryByDistance": False,
        "referenceTargetField": None,
        "referenceTo": list(field.reference_to),
        "relationshipName": field.relationship,
        "relationshipOrder": None,
        "restrictedDelete": False,
        "restrictedPicklist": (item.name, field.name) in org.rules.restricted,
        "scale": 2 if field.type == "currency" else 0,
        "searchPrefilterable": field.type == "reference",
        "soapType": _SOAP.get(field.type, "xsd:string"),
        "sortable": field.filterable,
        "type": field.type,
        "unique": field.unique and (item.name, field.name) not in org.rules.loose_keys,
        "updateable": field.updateable and writable,
        "writeRequiresMasterRead": False,
    }


def brief(org: Org, item: SObject, version: str) -> Record:
    """The entry of an object in the global describe."""
    path = f"/services/data/v{version}/sobjects/{item.name}"
    writable = item.writable and not org.faults.forbids(item.name)
    return {
        "activateable": False,
        "associateEntityType": None,
        "associateParentEntity": None,
        "createable": writable,
        "custom": False,
        "customSetting": False,
        "deepCloneable": False,
        "deletable": writable and item.soft_delete,
        "deprecatedAndHidden": False,
        "feedEnabled": False,
        "hasSubtypes": False,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": item.key_prefix,
        "label": item.label,
        "labelPlural": item.plural,
        "layoutable": writable,
        "mergeable": item.name in {"Account", "Contact", "Lead"},
        "mruEnabled": writable,
        "name": item.name,
        "queryable": True,
        "replicateable": True,
        "retrieveable": True,
        "searchable": writable,
        "triggerable": writable,
        "undeletable": writable and item.soft_delete,
        "updateable": writable,
        "urls": {
            "rowTemplate": f"{path}/{{ID}}",
            "describe": f"{path}/describe",
            "sobject": path,
        },
    }


def everything(org: Org, version: str) -> Record:
    """The global describe, without what is hidden from the user."""
    shown = [item for item in SOBJECTS.values() if item.name not in org.faults.hidden_objects]
    return {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [brief(org, item, version) for item in shown]}


def full(org: Org, item: SObject, version: str) -> Record:
    """The describe of one object, without the fields that are hidden from the user."""
    fields = [_field(org, item, field) for field in item.fields if not org.hides(item, field)]
    types = org.database.rows(
        'SELECT "Id", "Name", "DeveloperName", "IsActive" FROM "RecordType" WHERE "SobjectType" = ?', (item.name,)
    )
    return {
        "actionOverrides": [],
        **brief(org, item, version),
        "childRelationships": [
            {
                "cascadeDelete": False,
                "childSObject": child.sobject,
                "deprecatedAndHidden": False,
                "field": child.field,
                "junctionIdListNames": [],
                "junctionReferenceTo": [],
                "relationshipName": child.relationship,
                "restrictedDelete": False,
            }
            for child in CHILDREN[item.name].values()
        ],
        "compactLayoutable": True,
        "fields": fields,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [_record_type(row) for row in types] + [_master()],
        "searchLayoutable": True,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [{"label": f"All {item.plural}", "name": "everything"}],
    }


def _record_type(row: Record) -> Record:
    return {
        "active": bool(row["IsActive"]),
        "available": True,
        "defaultRecordTypeMapping": False,
        "developerName": row["DeveloperName"],
        "master": False,
        "name": row["Name"],
        "recordTypeId": row["Id"],
        "urls": {},
    }


def _master() -> Record:
    return {
        "active": True,
        "available": True,
        "defaultRecordTypeMapping": True,
        "developerName": "Master",
        "master": True,
        "name": "Master",
        "recordTypeId": MASTER,
        "urls": {},
    }


def ui_picklist(org: Org, item: SObject, field: Field, record_type: str, url: str) -> Record:
    """Picklist values as the UI API gives them for one record type."""
    offered = org.record_type_values.get((record_type, field.name))
    values = [
        {"attributes": None, "label": value["label"], "validFor": [], "value": value["value"]}
        for value in picklist_values(org, item, field)
        if value["active"] and (offered is None or value["value"] in offered)
    ]
    return {"controllerValues": {}, "defaultValue": None, "eTag": "0" * 32, "url": url, "values": values}
