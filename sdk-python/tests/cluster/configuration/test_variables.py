"""Variables in the values of properties, replaced as Hadoop does it, and within bounds."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.configuration.variables import (
    LONGEST_VALUE,
    MAX_DEPTH,
    MOST_SUBSTITUTIONS,
    substitute,
)
from knit.exceptions import ConfigurationError


class TestVariables:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("${a}", "1"),
            ("x${a}y${a}", "x1y1"),
            ("${b}", "<1>"),
            ("${unknown}", "${unknown}"),
            ("${env.HOST}", "h"),
            ("${env.NONE}", "${env.NONE}"),
            ("${env.NONE:-d}", "d"),
            ("${env.EMPTY:-d}", "d"),
            ("${env.EMPTY-d}", ""),
            ("${env.NONE-d-e}", "d-e"),
            ("${env.HOST:-d}", "h"),
            ("${env.NONE:-}", ""),
            ("$a {a} ${}", "$a {a} ${}"),
            ("a${", "a${"),
        ],
    )
    def test_they_are_replaced_as_hadoop_does(self, text: str, expected: str) -> None:
        values = {"a": "1", "b": "<${a}>", "x": text}
        assert substitute("x", values, {"HOST": "h", "EMPTY": ""}) == expected

    def test_a_circle_is_told_with_its_members(self) -> None:
        values = {"a": "${b}", "b": "${c}", "c": "${a}"}
        with pytest.raises(ConfigurationError, match="a -> b -> c -> a"):
            substitute("a", values, {})

    def test_a_chain_too_long_is_told(self) -> None:
        chain = {f"p{n}": f"${{p{n + 1}}}" for n in range(MAX_DEPTH + 5)}
        chain[f"p{MAX_DEPTH + 5}"] = "end"
        with pytest.raises(ConfigurationError, match="nested more than"):
            substitute("p0", chain, {})
        assert substitute("p10", chain, {}) == "end"

    @given(
        st.dictionaries(
            st.sampled_from("abcd"),
            st.lists(
                st.sampled_from(["${a}", "${b}", "${c}", "${d}", "${e}", "x", "$", "{", "}"])
            ).map("".join),
            min_size=1,
        )
    )
    def test_it_always_ends_and_leaves_nothing_known_behind(self, values: dict[str, str]) -> None:
        for name in values:
            try:
                result = substitute(name, values, {})
            except ConfigurationError:
                continue
            if any(f"${{{each}}}" in value for each, value in values.items()):
                continue  # Hadoop leaves those that lead to it as they are
            assert not any(f"${{{known}}}" in result for known in values)

    def test_one_that_refers_to_itself_stays_as_it_is(self) -> None:
        """And so does what comes upon it. Site files add to what is not there in this way."""
        values = {"path": "${path},/more", "x": "${y}-${path}", "y": "1"}
        assert substitute("path", values, {}) == "${path},/more"
        assert substitute("x", values, {}) == "${y}-${path}"

    def test_a_value_that_grows_beyond_all_bounds_is_told(self) -> None:
        values = {"a": "x" * (LONGEST_VALUE // 10), "b": "${a}" * 11, "c": "${a}" * 9}
        with pytest.raises(ConfigurationError, match="longer than 1048576 characters"):
            substitute("b", values, {})
        assert len(substitute("c", values, {})) == LONGEST_VALUE // 10 * 9

    def test_any_number_of_variables_is_told(self) -> None:
        """Of ten in each of six properties, which all come to nothing, there are a million."""
        values = {f"p{n}": f"${{p{n + 1}}}" * 10 for n in range(6)} | {"p6": ""}
        with pytest.raises(ConfigurationError, match="more than 1000 variables in all"):
            substitute("p0", values, {})
        assert substitute("p4", values, {}) == ""
        assert MOST_SUBSTITUTIONS == 1000


class TestNested:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("${rm.${env.SITE}}", "one"),
            ("${rm.${site}}", "one"),
            ("${env.NONE:-${rm.a}}", "one"),
            ("${env.NONE:-${env.ALSO:-last}}", "last"),
            ("${env.NONE-${rm.${site}}}:8032", "one:8032"),
            ("${fs.default.name}/x", "hdfs://nn/x"),
            ("${dfs.http.address.ns}", "w:1"),
        ],
    )
    def test_a_variable_may_have_others_in_it(self, text: str, expected: str) -> None:
        values = {
            "x": text,
            "site": "a",
            "rm.a": "one",
            "fs.defaultFS": "hdfs://nn",
            "dfs.namenode.http-address.ns": "w:1",
        }
        assert substitute("x", values, {"SITE": "a"}) == expected


class TestJavasProperties:
    def test_the_user_is_the_systems(self) -> None:
        """As in Java, whoever the cluster is told that we are."""
        name = pwd.getpwuid(os.getuid()).pw_name
        environment = {"HADOOP_USER_NAME": "somebody"}
        assert substitute("x", {"x": "/a/${user.name}"}, environment) == f"/a/{name}"

    def test_a_user_without_a_name_leaves_its_variable(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def nameless(number: int) -> None:
            raise KeyError(f"getpwuid(): uid not found: {number}")

        monkeypatch.setattr("pwd.getpwuid", nameless)
        config = ClusterConfig.from_properties({"a": "/tmp/${user.name}"})
        assert config.get("a") == "/tmp/${user.name}"

    def test_they_come_before_properties_of_the_same_name(self) -> None:
        values = {"x": "${java.io.tmpdir}${user.home}", "java.io.tmpdir": "/a", "user.home": "/b"}
        assert substitute("x", values, {}).endswith(str(Path.home()))
        assert not substitute("x", values, {}).startswith("/a")

    @pytest.mark.parametrize(
        ("environment", "expected"),
        [
            ({}, "${hdp.version}"),
            ({"HDP_VERSION": "3.1"}, "3.1"),
            ({"HADOOP_OPTS": "-Xmx1g -Dhdp.version=2.6 -Dx=y"}, "2.6"),
            ({"HADOOP_CLIENT_OPTS": "-Dhdp.version='a b'", "HDP_VERSION": "3.1"}, "a b"),
            ({"YARN_OPTS": "-Dhdp.version=1 -Dhdp.version=2"}, "2"),
            ({"HADOOP_OPTS": "-Dmy.hdp.version=1"}, "${hdp.version}"),
            ({"HADOOP_OPTS": "-Dhdp.version=1 '"}, "1"),
        ],
    )
    def test_others_are_those_that_javas_commands_are_told(
        self, environment: dict[str, str], expected: str
    ) -> None:
        assert substitute("x", {"x": "${hdp.version}"}, environment) == expected
