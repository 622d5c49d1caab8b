"""JSON schemas of structs, as msgspec makes them, completed with what it can not know."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import inspect

Json: TypeAlias = dict[str, Any]
Struct: TypeAlias = type[msgspec.Struct]

REF: Final = "#/components/schemas/{name}"
_TOP: Final = "#/components/schemas/"


def schemas_of(structs: Iterable[Struct]) -> tuple[dict[Struct, Json], Json]:
    """(the schema of each struct, the components that they refer to). Items that are read one by one
    (`msgspec.Raw`) are described by the struct that their field names as `item`."""
    asked = list(dict.fromkeys(all_of(structs)))
    references, components = msgspec.json.schema_components(asked, ref_template=REF)
    by_struct = dict(zip(asked, references, strict=True))
    for struct in asked:
        for name, items in raw_items(struct).items():
            components[_name(by_struct[struct])]["properties"][name]["items"] = by_struct[items]
    for name, tag in _needless_tags(asked):
        components[name]["required"].remove(tag)
    for schema in components.values():
        schema.pop("title", None)  # it repeats the name
    short = {_TOP + name: _TOP + _short(name) for name in components}
    named = {_short(name): _renamed(schema, short) for name, schema in components.items()}
    return {struct: _renamed(reference, short) for struct, reference in by_struct.items()}, named


def all_of(structs: Iterable[Struct]) -> Iterator[Struct]:
    """The structs, each followed by those of its raw items."""
    for struct in structs:
        yield struct
        yield from all_of(raw_items(struct).values())


def raw_items(struct: Struct) -> dict[str, Struct]:
    """Which struct the items of a field are, by the field's name."""
    found = {}
    for field in fields_of(struct):
        if isinstance(field.type, inspect.Metadata) and field.type.extra and "item" in field.type.extra:
            found[field.encode_name] = field.type.extra["item"]
    return found


def fields_of(struct: Struct) -> Sequence[inspect.Field]:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return info.fields


def _needless_tags(structs: Iterable[Struct]) -> set[tuple[str, str]]:
    """(component, field) of tags that tell nothing apart: msgspec reads such a struct without them too."""
    kinds = [field.type for struct in structs for field in fields_of(struct)]
    return {
        (kind.cls.__name__, kind.tag_field)
        for kind in kinds
        if isinstance(kind, inspect.StructType) and kind.tag_field is not None
    }


def without_null(schema: Json) -> Json:
    """Of what may be left out of a query, but can not be null there."""
    if "anyOf" not in schema:
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf" and value is not None}
    some = [one for one in schema["anyOf"] if one != {"type": "null"}]
    return {**some[0], **rest} if len(some) == 1 else {"anyOf": some, **rest}


def resolved(schema: Json, components: Json) -> Json:
    """What a reference stands for."""
    found: Json = components[_name(schema)] if "$ref" in schema else schema
    return found


def _short(name: str) -> str:
    """Of two structs of one name, msgspec writes the module in front: RouteDecision for vnum.service.route.Decision."""
    *_, module, last = ["", *name.split(".")]
    return module.title().replace("_", "") + last


def _renamed(schema: Any, names: dict[str, str]) -> Any:
    """With other names, and amounts as they may be sent."""
    match schema:
        case {"type": "string", "format": "decimal"}:
            return {**schema, "type": ["string", "number"]}
        case dict():
            return {
                key: names.get(value, value) if key == "$ref" else _renamed(value, names)
                for key, value in schema.items()
            }
        case list():
            return [_renamed(part, names) for part in schema]
    return schema


def _name(reference: Json) -> str:
    name: str = reference["$ref"].removeprefix(_TOP)
    return name
