"""Site files as they are: includes, encodings, comments; and those that mean no good."""

from __future__ import annotations

from pathlib import Path

import pytest

from knit._cluster.configuration import hadoop_xml
from knit._cluster.configuration.hadoop_xml import (
    LARGEST_FILE_BYTES,
    MAX_INCLUDE_DEPTH,
    MAX_NESTING,
    MOST_FILES,
    Properties,
)
from knit.exceptions import ConfigurationError

XINCLUDE = "http://www.w3.org/2001/XInclude"


def prop(name: str, value: str, more: str = "") -> str:
    return f"<property><name>{name}</name><value>{value}</value>{more}</property>"


def include(href: str, inner: str = "", attributes: str = "") -> str:
    return f'<i:include xmlns:i="{XINCLUDE}" href="{href}" {attributes}>{inner}</i:include>'


def write(path: Path, inner: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<?xml version='1.0'?>\n<configuration>\n{inner}\n</configuration>\n")
    return path


def read(path: Path, *directories: Path) -> dict[str, str]:
    properties = Properties(directories)
    properties.add_file(path)
    return properties.values


class TestIncludes:
    def test_a_path_may_be_absolute_or_a_url(self, tmp_path: Path) -> None:
        one = write(tmp_path / "a b" / "one.xml", prop("one", "1"))
        two = write(tmp_path / "two.xml", prop("two", "2"))
        site = write(tmp_path / "c" / "s.xml", include(one.as_uri()) + include(str(two)))
        assert read(site) == {"one": "1", "two": "2"}

    def test_the_directories_of_the_configuration_come_first(self, tmp_path: Path) -> None:
        """As Java finds them, which looks through its classpath."""
        site = write(tmp_path / "conf" / "more" / "s.xml", include("x.xml") + include("y.xml"))
        write(tmp_path / "conf" / "x.xml", prop("x", "of the configuration"))
        write(tmp_path / "conf" / "more" / "x.xml", prop("x", "beside it"))
        write(tmp_path / "conf" / "more" / "y.xml", prop("y", "beside it"))
        expected = {"x": "of the configuration", "y": "beside it"}
        assert read(site, tmp_path / "conf") == expected

    def test_final_properties_of_one_bind_the_file_around_it(self, tmp_path: Path) -> None:
        write(tmp_path / "one.xml", prop("a", "1", "<final>true</final>"))
        site = write(tmp_path / "s.xml", include("one.xml") + prop("a", "2"))
        assert read(site) == {"a": "1"}

    def test_a_part_of_a_file_is_refused_by_name(self, tmp_path: Path) -> None:
        write(tmp_path / "one.xml", prop("a", "1"))
        inner = include("one.xml", attributes='xpointer="xpointer(/configuration/property)"')
        with pytest.raises(ConfigurationError, match=r"a part of one\.xml \(xpointer\)"):
            read(write(tmp_path / "s.xml", inner))

    def test_one_of_nothing_is_nothing(self, tmp_path: Path) -> None:
        assert read(write(tmp_path / "s.xml", include("") + prop("a", "1"))) == {"a": "1"}

    def test_a_fallback_may_include_others(self, tmp_path: Path) -> None:
        write(tmp_path / "two.xml", prop("a", "2"))
        fallback = f'<i:fallback xmlns:i="{XINCLUDE}">{include("two.xml")}</i:fallback>'
        site = write(tmp_path / "s.xml", include("no.xml", fallback))
        assert read(site) == {"a": "2"}
        assert read(write(site, include("two.xml", fallback.replace("two", "no")))) == {"a": "2"}

    def test_the_namespace_does_not_matter(self, tmp_path: Path) -> None:
        write(tmp_path / "one.xml", prop("a", "1"))
        assert read(write(tmp_path / "s.xml", '<include href="one.xml"/>')) == {"a": "1"}


class TestValues:
    def test_comments_and_white_space_are_left_out(self, tmp_path: Path) -> None:
        inner = prop("\n a\t", "\n  x <!-- not y --> z\n<![CDATA[<&>]]> ") + "<!-- <property> -->"
        assert read(write(tmp_path / "s.xml", inner)) == {"a": "x  z\n<&>"}

    def test_an_element_without_a_text_sets_nothing(self, tmp_path: Path) -> None:
        """An attribute without one does, as in Hadoop."""
        inner = prop("a", "1") + prop("a", "") + prop("b", "1")
        inner += '<property name="b" value=""/><property name="c" value="3" final="true"/>'
        assert read(write(tmp_path / "s.xml", inner)) == {"a": "1", "b": "", "c": "3"}

    def test_what_else_a_property_says_is_passed_over(self, tmp_path: Path) -> None:
        more = "<description>of <b>a</b></description><source>x</source><tag>YARN</tag>"
        assert read(write(tmp_path / "s.xml", prop("a", "1", more))) == {"a": "1"}

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
    def test_encodings(self, tmp_path: Path, encoding: str) -> None:
        text = f"<?xml version='1.0' encoding='{encoding}'?><configuration>{prop('a', 'é')}"
        path = tmp_path / "s.xml"
        path.write_bytes(f"{text}</configuration>".encode(encoding))
        assert read(path) == {"a": "é"}

    def test_a_byte_order_mark_is_none_of_the_content(self, tmp_path: Path) -> None:
        path = tmp_path / "s.xml"
        path.write_bytes(f"\ufeff<configuration>{prop('a', '1')}</configuration>".encode())
        assert read(path) == {"a": "1"}

    def test_an_encoding_that_nobody_knows_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "s.xml"
        path.write_bytes(b"<?xml version='1.0' encoding='klingon'?><configuration/>")
        with pytest.raises(ConfigurationError, match="not well-formed XML"):
            read(path)


class TestBounds:
    def test_entities_are_refused(self, tmp_path: Path) -> None:
        """Ten in each of ten come to gigabytes."""
        entities = '<!ENTITY e0 "x">' + "".join(
            f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 11)
        )
        path = tmp_path / "s.xml"
        path.write_text(
            f"<!DOCTYPE c [{entities}]><configuration>{prop('a', '&e10;')}</configuration>"
        )
        with pytest.raises(ConfigurationError, match=r"s\.xml, line 1: .* the entity 'e0'"):
            read(path)

    @pytest.mark.parametrize(
        "declaration",
        ['<!ENTITY x SYSTEM "file:///etc/passwd">', '<!ENTITY % x SYSTEM "http://x/y.dtd"> %x;'],
    )
    def test_so_are_those_of_other_files(self, tmp_path: Path, declaration: str) -> None:
        path = tmp_path / "s.xml"
        path.write_text(f"<!DOCTYPE c [{declaration}]><configuration/>")
        with pytest.raises(ConfigurationError, match="declares the entity"):
            read(path)

    def test_a_document_type_alone_is_not_looked_at(self, tmp_path: Path) -> None:
        path = tmp_path / "s.xml"
        inner = prop("a", "1")
        path.write_text(
            f'<!DOCTYPE configuration SYSTEM "no.dtd"><configuration>{inner}</configuration>'
        )
        assert read(path) == {"a": "1"}

    def test_a_file_may_be_so_large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write(tmp_path / "s.xml", prop("a", "1"))
        monkeypatch.setattr(hadoop_xml, "LARGEST_FILE_BYTES", path.stat().st_size)
        assert read(path) == {"a": "1"}
        write(path, prop("a", "12"))
        with pytest.raises(ConfigurationError, match="and is not read"):
            read(path)
        assert LARGEST_FILE_BYTES == 16 * 1024 * 1024

    def test_files_may_include_each_other_so_deep(self, tmp_path: Path) -> None:
        for depth in range(MAX_INCLUDE_DEPTH + 1):
            write(tmp_path / f"{depth}.xml", include(f"{depth + 1}.xml"))
        write(tmp_path / f"{MAX_INCLUDE_DEPTH + 1}.xml", prop("a", "1"))
        assert read(tmp_path / "1.xml") == {"a": "1"}
        with pytest.raises(ConfigurationError, match="through more than 20 files"):
            read(tmp_path / "0.xml")

    def test_a_file_may_include_so_many(self, tmp_path: Path) -> None:
        """One that includes itself twice would else be read a million times."""
        write(tmp_path / "one.xml", prop("a", "1"))
        most = write(tmp_path / "s.xml", include("one.xml") * (MOST_FILES - 1))
        assert read(most) == {"a": "1"}
        with pytest.raises(ConfigurationError, match="through more than 200 files"):
            read(write(tmp_path / "s.xml", include("one.xml") * MOST_FILES))
        with pytest.raises(ConfigurationError, match="include each other"):
            read(write(tmp_path / "twice.xml", include("twice.xml") * 2))

    def test_elements_may_lie_within_each_other_so_deep(self, tmp_path: Path) -> None:
        def nested(depth: int) -> str:
            inner = "<configuration>" * depth + prop("a", "1")
            return inner + "</configuration>" * depth

        assert read(write(tmp_path / "s.xml", nested(MAX_NESTING - 3))) == {"a": "1"}
        with pytest.raises(ConfigurationError, match=r"line 3: .*more than 50 deep"):
            read(write(tmp_path / "s.xml", nested(MAX_NESTING - 2)))
