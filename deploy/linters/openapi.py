"""Checks an OpenAPI document: against the specification, its examples against their schemas, and its tags.

python openapi.py FILE
"""

import json
import sys
from pathlib import Path

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
ADDRESS = "urn:document"


def examples(value, place: str):
    """Each example of the document with where it stands and the pointer to its schema."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from examples(item, f"{place}/{index}")
    if not isinstance(value, dict):
        return
    given = value.get("examples")
    if isinstance(given, dict) and "schema" in value:
        for name, example in given.items():
            yield f"{place}/examples/{name}", f"{place}/schema", example["value"]
    if isinstance(given, list):
        for index, example in enumerate(given):
            yield f"{place}/examples/{index}", place, example
    if "default" in value and "type" in value:
        yield f"{place}/default", place, value["default"]
    for name, item in value.items():
        if name != "examples":
            yield from examples(item, place + "/" + name.replace("~", "~0").replace("/", "~1").replace("%", "%25"))


def faults(document: dict):
    for error in OpenAPIV31SpecValidator(document).iter_errors():
        yield f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
    registry = Registry().with_resource(ADDRESS, Resource(contents=document, specification=DRAFT202012))
    count = 0
    for place, schema, example in examples(document, ""):
        count += 1
        # Braces of path templates are not of a URI's fragment.
        pointer = schema.replace("{", "%7B").replace("}", "%7D")
        validator = Draft202012Validator({"$ref": f"{ADDRESS}#{pointer}"}, registry=registry)
        for error in validator.iter_errors(example):
            yield f"{place}: {error.message}"
    if count == 0:
        yield "there are no examples"
    known, used = {tag["name"] for tag in document["tags"]}, set()
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            tags = item[method].get("tags", [])
            used.update(tags)
            if len(tags) != 1:
                yield f"{method} {path}: needs one tag, as clients are made one module for each"
    for name in known ^ used:
        yield f"tags: '{name}' is not both described and used"


def main() -> int:
    path = Path(sys.argv[1])
    try:
        found = list(faults(json.loads(path.read_text(encoding="utf-8"))))
    except Unresolvable as error:
        found = [f"{error.ref}: there is no such thing"]
    for fault in found:
        print(f"{path}: {fault}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
