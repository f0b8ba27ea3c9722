"""Specifications as plain data and as YAML."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import cattrs
import yaml
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from knit._enums import OpenEnum
from knit._files import RUNNING_ENVIRONMENT, File, Visibility, to_files, to_local_path
from knit._ports import format_ports
from knit._resources import Resources, format_memory
from knit._spec import ApplicationSpec, FailurePolicy, Service
from knit.exceptions import FileMissingError, SpecError

_SECONDS = {"ms": 0.001, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.ASCII)
# How a field is called in a document, where that is not its name.
_DOCUMENT_NAMES = {"memory_mib": "memory"}


def from_dict(data: Mapping[str, Any], directory: Path | None) -> ApplicationSpec:
    """See `ApplicationSpec.from_dict`."""
    try:
        spec = _converter().structure(data, ApplicationSpec)
    except (cattrs.BaseValidationError, SpecError) as error:
        path, cause = _first_cause(error)
        if not isinstance(cause, SpecError):
            cause = SpecError(_sentence(cause))
        raise type(cause)(f"{path}: {cause}" if path else str(cause)) from None
    if directory is None:
        return spec
    return attrs.evolve(
        spec,
        services={
            name: attrs.evolve(
                service,
                files={n: file._below(directory) for n, file in service.files.items()},
                python_environment=_below(directory, service.python_environment),
            )
            for name, service in spec.services.items()
        },
    )


def _below(directory: Path, source: str | None) -> str | None:
    """The same environment, with a relative path taken from `directory`."""
    path = None if source in (None, RUNNING_ENVIRONMENT) else to_local_path(str(source))
    return source if path is None or path.is_absolute() else str(directory / path)


def to_dict(spec: ApplicationSpec) -> dict[str, Any]:
    """See `ApplicationSpec.to_dict`."""
    data: dict[str, Any] = _converter().unstructure(spec, ApplicationSpec)
    return data


def from_yaml(path: Path) -> ApplicationSpec:
    """See `ApplicationSpec.from_yaml`."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileMissingError(f"The specification {path} does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"The specification {path} cannot be read: {error}.") from None
    try:
        data = yaml.load(text, _Loader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.YAMLError as error:
        raise SpecError(f"The specification {path} is not valid YAML: {error}") from None
    try:
        return from_dict(data, path.resolve().parent)
    except SpecError as error:
        raise type(error)(f"{path}: {error}") from None


def to_yaml(spec: ApplicationSpec) -> str:
    """See `ApplicationSpec.to_yaml`."""
    text: str = yaml.dump(to_dict(spec), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


class _Dumper(yaml.SafeDumper):
    """YAML without its silent loss: what it would fold as an exotic line break is escaped."""


def _represent_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = '"' if set(value) & set("\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)


_Dumper.add_representer(str, _represent_text)


class _Loader(yaml.SafeLoader):
    """YAML without its silent loss: a key given twice is refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
                if key_node.value in seen:
                    raise yaml.constructor.ConstructorError(
                        "while reading a mapping",
                        node.start_mark,
                        f"the key {key_node.value!r} is given twice",
                        key_node.start_mark,
                    )
                seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)


@functools.cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    for kind, words in ((str, "text"), (int, "a whole number"), (bool, "true or false")):
        converter.register_structure_hook(kind, functools.partial(_exactly, words))
    converter.register_structure_hook(timedelta, lambda value, _: _parse_duration(value))
    converter.register_unstructure_hook(timedelta, _format_duration)
    for enumeration in (Visibility, FailurePolicy):
        converter.register_structure_hook(enumeration, _parse_enum)
        converter.register_unstructure_hook(enumeration, lambda value: value.name.lower())
    _register(
        converter,
        Resources,
        memory_mib=override(rename="memory", struct_hook=_as_given, unstruct_hook=format_memory),
    )
    _register(converter, File)
    _register(
        converter,
        Service,
        environment=override(struct_hook=_as_given, unstruct_hook=dict),
        files=override(struct_hook=functools.partial(_parse_files, converter)),
        python_environment=override(struct_hook=_as_given, omit_if_default=True),
    )
    _register(
        converter,
        ApplicationSpec,
        tags=override(struct_hook=_as_given, unstruct_hook=list),
        master_ports=override(
            struct_hook=_as_given, unstruct_hook=format_ports, omit_if_default=True
        ),
    )
    return converter


def _register(converter: cattrs.Converter, kind: type, **overrides: Any) -> None:
    structure: Callable[[Mapping[str, Any], Any], Any] = make_dict_structure_fn(
        kind, converter, _cattrs_forbid_extra_keys=True, **overrides
    )
    unstructure: Callable[[Any], dict[str, Any]] = make_dict_unstructure_fn(
        kind, converter, **overrides
    )

    def checked(value: Any, cls: type) -> Any:
        if not isinstance(value, Mapping):
            raise SpecError(f"here is {value!r}; a mapping of names to values belongs here.")
        return structure(dict(value), cls)

    converter.register_structure_hook(kind, checked)
    converter.register_unstructure_hook(kind, unstructure)


def _as_given(value: Any, _: Any) -> Any:
    return value  # the class's own converter reads it


def _exactly(words: str, value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise SpecError(f"{value!r} is not {words}.")
    return value


def _parse_enum(value: Any, kind: type[OpenEnum]) -> OpenEnum:
    if isinstance(value, kind):
        return value
    if not isinstance(value, str):
        raise SpecError(f"{value!r} is not the name of a {kind.__name__}.")
    try:
        return kind.parse(value)
    except ValueError as error:
        raise SpecError(f"{error}.") from None


def _parse_files(converter: cattrs.Converter, value: Any, _: Any) -> Mapping[str, File]:
    def parse(item: Any, name: str | None) -> Any:
        if not isinstance(item, Mapping):
            return item
        named = item if name is None else {"name": name, **item}
        return converter.structure(named, File)

    if isinstance(value, Mapping):
        return to_files({name: parse(item, name) for name, item in value.items()})
    if isinstance(value, (list, tuple)):
        return to_files([parse(item, None) for item in value])
    raise SpecError(f"{value!r} is neither a list of files nor a mapping of names to them.")


def _parse_duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return timedelta(seconds=value)
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match and match[2] in _SECONDS:
            return timedelta(seconds=float(match[1]) * _SECONDS[match[2]])
    except (OverflowError, ValueError):
        pass
    raise SpecError(f"{value!r} is no duration: give seconds, or text such as '10 s' or '5 min'.")


def _format_duration(value: timedelta) -> int | float:
    seconds = value.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def _first_cause(error: BaseException) -> tuple[str, BaseException]:
    """Where in the document the first error lies, and what it is."""
    steps: list[str] = []
    while isinstance(error, cattrs.BaseValidationError):
        error = error.exceptions[0]
        steps += _step(error)
    return ".".join(steps), error


def _step(error: BaseException) -> Iterator[str]:
    for note in getattr(error, "__notes__", []):
        if isinstance(note, cattrs.AttributeValidationNote):
            yield _DOCUMENT_NAMES.get(note.name, note.name)
        elif isinstance(note, cattrs.IterableValidationNote):
            yield str(note.index)


def _sentence(error: BaseException) -> str:
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        fields = [_DOCUMENT_NAMES.get(a.name, a.name) for a in attrs.fields(error.cl)]
        key = min(error.extra_fields, key=str)
        close = difflib.get_close_matches(str(key), fields, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(fields)}."
        return f"{key!r} is not known here: {hint}"
    if isinstance(error, KeyError):
        return "this is missing, and has no default."
    if isinstance(error, (AttributeError, TypeError)):
        return "a mapping of names to values belongs here."
    return f"{error}"
