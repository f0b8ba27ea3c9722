"""The errors: a tree, all of which crosses the borders of processes."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import Any

import pytest

from knit import ApplicationReport, KnitError, YarnState, exceptions

CLASSES = sorted(
    {value for name in exceptions.__all__ for value in [getattr(exceptions, name)]},
    key=lambda kind: str(kind.__name__),
)
FACTS: dict[str, Any] = {
    "answered_by": "DataNode",
    "codec": "lzo",
    "path": "/tmp/logs/a",
    "report": ApplicationReport(application_id="application_1_0001", state=YarnState.KILLED),
    "status": 403,
    "url": "http://rm:8088/",
}


def made(kind: type[KnitError]) -> KnitError:
    init = next((vars(each)["__init__"] for each in kind.__mro__ if "__init__" in vars(each)), None)
    keywords = inspect.getfullargspec(init).kwonlyargs if inspect.isfunction(init) else []
    return kind("What was tried: what came back.", **{name: FACTS[name] for name in keywords})


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_is_the_same_in_another_process(kind: type[KnitError]) -> None:
    error = made(kind)
    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(copied) is kind
        assert str(copied) == str(error) == "What was tried: what came back."
        assert vars(copied) == vars(error)


def test_every_class_of_the_tree_is_public() -> None:
    def below(kind: type[KnitError]) -> set[type[KnitError]]:
        return {kind}.union(*(below(each) for each in kind.__subclasses__()))

    here = {kind for kind in below(KnitError) if kind.__module__ == exceptions.__name__}
    assert here == set(CLASSES)


def test_the_tree_that_is_written_down_is_the_one_there_is() -> None:
    joined = re.sub(r"\n {8}", " ", exceptions.__doc__ or "")
    written = {
        (parent, child)
        for parent, children in re.findall(r"^    (\w+): (.+)$", joined, re.MULTILINE)
        for child in children.split(", ")
    }
    there_is = {
        (parent.__name__, kind.__name__)
        for kind in CLASSES
        for parent in kind.__bases__
        if issubclass(parent, KnitError)
    }
    assert written == there_is
