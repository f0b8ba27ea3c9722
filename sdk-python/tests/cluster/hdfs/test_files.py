"""What a file system is asked reaches the way to it whole."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from knit._cluster.doors import Choice, Doors
from knit._cluster.hdfs.files import Files
from knit._cluster.hdfs.transfer import DataNodes
from knit._cluster.rest.authentication import SimpleAuthentication
from knit._cluster.rest.client import HttpClient
from knit._cluster.rest.daemons import NAME_NODE

TIME = timedelta(seconds=7)


class Recorder:
    """Says what it was asked."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **named: (name, arguments, named)


@pytest.mark.parametrize(
    ("name", "arguments", "named"),
    [
        ("delegation_token", ("rm",), {}),
        ("key_provider", (), {}),
        ("home_directory", (), {}),
        ("status", ("/a",), {}),
        ("list_directory", ("/a",), {}),
        ("make_directories", ("/a",), {"permission": "700"}),
        ("rename", ("/a", "/b"), {}),
        ("delete", ("/a",), {"recursive": True}),
        ("set_times", ("/a",), {"access_time_ms": 1, "modify_time_ms": 2}),
        ("set_permission", ("/a", "600"), {}),
        ("content_summary", ("/a",), {}),
        ("check_access", ("/a", "r-x"), {}),
    ],
)
def test_each_call_takes_what_it_is_given_and_its_time(
    name: str, arguments: tuple[str, ...], named: dict[str, object]
) -> None:
    http = HttpClient(SimpleAuthentication("alice"))
    choice = Choice(daemon=NAME_NODE, forced="rest", kerberos=False, base_urls=lambda: ())
    doors: Doors[Any] = Doors(choice, http, rest=Recorder, rpc=Recorder)
    asked: list[object] = []
    files = Files(doors, DataNodes(http), timeout=timedelta(seconds=30))
    original = doors.through

    def through(call: Any) -> Any:
        asked.append(original(call))
        return asked[-1]

    doors.through = through  # type: ignore[method-assign]
    getattr(files, name)(*arguments, **named, timeout=TIME)
    assert asked == [(name, arguments, {**named, "timeout": TIME})]
