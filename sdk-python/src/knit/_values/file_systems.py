"""File systems beside the cluster's own, for which an application is given delegation tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

from knit._values.checking import matching, true_or_false
from knit._values.in_documents import OMIT_DEFAULT, Structure, described, each_of, in_documents
from knit._values.places import at
from knit._values.reading import as_said
from knit.exceptions import SpecError

if TYPE_CHECKING:
    from knit.v1 import application_pb2

MOST_FILE_SYSTEMS = 64
"""The contract's: the ResourceManager renews the token of each, before it starts anything."""
_URL = r"hdfs://[^\s/?#,@]{1,255}"


def _to_url(value: Any) -> Any:
    return value.rstrip("/") if isinstance(value, str) else value


@attrs.frozen
class FileSystem:
    """
    A file system that an application's programs use, beside the cluster's own.

    With Kerberos the application is given a delegation token for it, as for the cluster's own.
    Without, it says nothing that would be needed.
    """

    url: str = attrs.field(
        converter=_to_url,
        validator=matching(_URL, "hdfs://HOST:PORT or hdfs://NAMESERVICE, without a path"),
        metadata=in_documents(schema={"type": "string", "pattern": f"^{_URL}/?$"}),
    )
    """`hdfs://host:port` or `hdfs://nameservice`, without a path."""
    without_renewer: bool = attrs.field(
        default=False, validator=true_or_false, kw_only=True, metadata=OMIT_DEFAULT
    )
    """
    Whether nobody is to renew its token: for one that the ResourceManager cannot reach, or that
    does not know it. Such a token ends after its first interval, a day by default; if the
    ResourceManager is to renew it and cannot, the application is refused.
    """

    @property
    def authority(self) -> str:
        """Its host and port, or its nameservice."""
        return urlsplit(self.url).netloc

    @classmethod
    def _from_proto(cls, message: application_pb2.FileSystem) -> FileSystem:
        return as_said(cls, url=message.url, without_renewer=message.without_renewer)

    def _to_proto(self) -> application_pb2.FileSystem:
        from knit.v1 import application_pb2

        return application_pb2.FileSystem(url=self.url, without_renewer=self.without_renewer)


def to_file_systems(value: Iterable[FileSystem | str]) -> tuple[FileSystem, ...]:
    """The file systems in a list, URLs among them; raises SpecError where it holds others."""
    if isinstance(value, (str, FileSystem, Mapping)) or not isinstance(value, Iterable):
        raise SpecError(
            f"file_systems is {described(value)}: give a list of URLs or of knit.FileSystem."
        )
    given = tuple(value)
    if len(given) > MOST_FILE_SYSTEMS:
        raise SpecError(f"file_systems has {len(given)} entries: give {MOST_FILE_SYSTEMS} at most.")
    found: dict[str, FileSystem] = {}
    for index, each in enumerate(given):
        made = FileSystem(each) if isinstance(each, str) else each
        if not isinstance(made, FileSystem):
            raise at(
                (index,),
                f"{described(each)} is none: give a URL or a knit.FileSystem.",
                below="file_systems",
            )
        if found.setdefault(made.authority, made) != made:
            raise at(
                (index,),
                f"{made.url} is there twice, once without a renewer: leave one out.",
                below="file_systems",
            )
    return tuple(found.values())


def _from_document(value: Any, structure: Structure) -> Any:
    if not isinstance(value, (list, tuple)):
        raise SpecError(f"{described(value)} is not a list.")
    return each_of(
        value,
        lambda _, entry: (
            FileSystem(entry) if isinstance(entry, str) else structure(entry, FileSystem)
        ),
    )


FILE_SYSTEMS_IN_DOCUMENTS = in_documents(
    read=_from_document,
    omit_default=True,
    schema={
        "type": "array",
        "items": {"anyOf": [{"type": "string", "pattern": f"^{_URL}/?$"}, {"class": FileSystem}]},
        "maxItems": MOST_FILE_SYSTEMS,
    },
)
