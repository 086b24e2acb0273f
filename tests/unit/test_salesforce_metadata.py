"""The metadata to deploy: well-formed, and with the very names that the shipped mapping reads."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from stagesync.sandbox.salesforce.schema import SOBJECTS
from stagesync.settings import SalesforceSettings, shipped_configuration

FOLDER = shipped_configuration() / "salesforce"
SOURCE = FOLDER / "force-app" / "main" / "default"
MAPPING = shipped_configuration() / "mappings" / "salesforce.yaml"
NAMESPACE = "{http://soap.sforce.com/2006/04/metadata}"
FILES = sorted(FOLDER.rglob("*.xml"))
DESCRIBED = {"Text": "string", "LongTextArea": "textarea", "Checkbox": "boolean", "Picklist": "picklist"}
"""A type in metadata, and what describe calls it."""


def said(element: ET.Element, name: str) -> str | None:
    return element.findtext(f"{NAMESPACE}{name}")


def field_files() -> dict[str, Path]:
    """Object and field, as package.xml names them, to the file."""
    return {f"{file.parents[1].name}.{file.name.partition('.')[0]}": file for file in SOURCE.glob("objects/*/fields/*")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_files_are_well_formed(file: Path) -> None:
    root = ET.parse(file).getroot()
    assert root.tag.startswith(NAMESPACE)
    if "fields" in file.parts:
        assert said(root, "fullName") == file.name.removesuffix(".field-meta.xml")


def test_the_manifest_lists_what_is_there() -> None:
    root = ET.parse(FOLDER / "package.xml").getroot()
    listed = {
        said(types, "name"): [str(member.text) for member in types.findall(f"{NAMESPACE}members")]
        for types in root.findall(f"{NAMESPACE}types")
    }
    sets = [file.name.partition(".")[0] for file in SOURCE.glob("permissionsets/*")]
    assert listed == {"CustomField": sorted(field_files()), "PermissionSet": sets}


def test_versions_are_that_of_the_settings() -> None:
    version = SalesforceSettings.model_fields["api_version"].default
    project = json.loads((FOLDER / "sfdx-project.json").read_text(encoding="utf-8"))
    assert project["sourceApiVersion"] == version
    assert said(ET.parse(FOLDER / "package.xml").getroot(), "version") == version


def test_fields_are_those_of_the_shipped_mapping() -> None:
    read = set(re.findall(r"\b\w+__c\b", re.sub(r"#.*", "", MAPPING.read_text(encoding="utf-8"))))
    assert {name.partition(".")[2] for name in field_files()} == read


@pytest.mark.parametrize("name", field_files())
def test_the_sandbox_has_each_field_as_it_would_be_deployed(name: str) -> None:
    object_name, _, field_name = name.partition(".")
    root = ET.parse(field_files()[name]).getroot()
    # Fields of activities are made on Activity, and read on Task and Event.
    field = SOBJECTS["Task" if object_name == "Activity" else object_name].field(field_name)
    assert field is not None
    assert field.type == DESCRIBED[str(said(root, "type"))]
    assert (field.external_id, field.unique) == (said(root, "externalId") == "true", said(root, "unique") == "true")
    if field.type in {"string", "textarea"}:
        assert field.length == int(str(said(root, "length")))
    if field.type == "picklist":
        values = [said(value, "fullName") for value in root.iter(f"{NAMESPACE}value")]
        assert tuple(values) == field.picklist


def test_the_permission_set_lets_read_and_write_what_is_needed_and_no_more() -> None:
    root = ET.parse(SOURCE / "permissionsets" / "StageSync.permissionset-meta.xml").getroot()
    fields = {said(one, "field"): said(one, "editable") for one in root.findall(f"{NAMESPACE}fieldPermissions")}
    named = {str(name).replace("Task.", "Activity.") for name in fields}
    assert set(field_files()) <= named
    assert {name for name, editable in fields.items() if editable == "true"} == {
        "Task.ActivityDate",
        "Task.Description",
        "Task.StageSync_Key__c",
    }
    for name in fields:
        object_name, _, field_name = str(name).partition(".")
        field = SOBJECTS[object_name].field(field_name)
        assert field is not None, name
        # Salesforce refuses a permission on a required field.
        assert field.nillable or field.type == "boolean", name
    objects = {said(one, "object"): one for one in root.findall(f"{NAMESPACE}objectPermissions")}
    assert {name for name, one in objects.items() if said(one, "allowEdit") == "true"} == {"Lead", "Opportunity"}
    for one in objects.values():
        granted = [said(one, right) for right in ("allowCreate", "allowDelete", "modifyAllRecords")]
        assert granted == ["false"] * 3
    rights = {said(one, "name") for one in root.findall(f"{NAMESPACE}userPermissions")}
    assert rights == {"ActivitiesAccess", "ApiEnabled", "EditTask"}
