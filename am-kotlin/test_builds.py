"""The two builds make one jar: what Gradle's files say, the pom says too."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
ROOT = HERE.parent
NAMESPACE = {"m": "http://maven.apache.org/POM/4.0.0"}

CATALOG: dict[str, Any] = tomllib.loads((ROOT / "gradle" / "libs.versions.toml").read_text())
GRADLE = (HERE / "build.gradle.kts").read_text()
POM = ET.parse(HERE / "pom.xml").getroot()

# The name of a version in the catalog, and of the same property in the pom where it differs.
PROPERTIES = {"grpcKotlin": "grpc-kotlin", "grpcGenerator": "grpc-generator"}
# Gradle's configurations and Maven's scopes for them.
SCOPES = {
    "implementation": "compile",
    "runtimeOnly": "runtime",
    "compileOnly": "provided",
    "testImplementation": "test",
    "testRuntimeOnly": "test",
}
# Each build brings some things by itself, or names them in another place.
ONLY_GRADLE = {"org.junit.platform:junit-platform-launcher"}
ONLY_MAVEN = {"org.jetbrains.kotlin:kotlin-stdlib"}


def text(element: ET.Element, path: str) -> str | None:
    found = element.find("/".join(f"m:{part}" for part in path.split("/")), NAMESPACE)
    return None if found is None or found.text is None else found.text.strip()


def pom_properties() -> dict[str, str]:
    properties = POM.find("m:properties", NAMESPACE)
    assert properties is not None
    return {child.tag.split("}")[-1]: (child.text or "") for child in properties}


def plugin(artifact_id: str) -> ET.Element:
    for candidate in POM.iterfind("m:build/m:plugins/m:plugin", NAMESPACE):
        if text(candidate, "artifactId") == artifact_id:
            return candidate
    raise AssertionError(f"the pom has no plugin {artifact_id}")


def gradle_dependencies() -> set[tuple[str, str]]:
    """(module, scope) of each dependency, with the widest scope where there are two."""
    aliases = {
        name.replace("-", "."): entry["module"] for name, entry in CATALOG["libraries"].items()
    }
    found: dict[str, str] = {}
    for configuration, alias in re.findall(
        r"^  (\w+)\((?:platform\()?libs\.([\w.]+)\)", GRADLE, re.M
    ):
        if configuration in SCOPES:
            found.setdefault(aliases[alias], SCOPES[configuration])
    platforms = {module for module in found if module.endswith("-bom")}
    return {
        (module, scope) for module, scope in found.items() if module not in ONLY_GRADLE | platforms
    }


def maven_dependencies() -> set[tuple[str, str]]:
    found = set()
    for dependency in POM.iterfind("m:dependencies/m:dependency", NAMESPACE):
        module = f"{text(dependency, 'groupId')}:{text(dependency, 'artifactId')}"
        if module not in ONLY_MAVEN:
            found.add((module, text(dependency, "scope") or "compile"))
    return found


def test_both_builds_manage_the_versions_of_the_same_others() -> None:
    aliases = {
        name.replace("-", "."): entry["module"] for name, entry in CATALOG["libraries"].items()
    }
    platforms = re.findall(r"\(platform\(libs\.([\w.]+)\)\)", GRADLE)
    constraints = re.search(r"^  constraints \{(.*?)^  \}", GRADLE, re.M | re.S)
    assert constraints is not None
    named = [*platforms, *re.findall(r"\(libs\.([\w.]+)\)", constraints.group(1))]
    managed = {
        f"{text(each, 'groupId')}:{text(each, 'artifactId')}"
        for each in POM.iterfind("m:dependencyManagement/m:dependencies/m:dependency", NAMESPACE)
    }
    assert {aliases[each] for each in named} == managed


def strings_in(block: str) -> set[str]:
    return set(re.findall(r'"([^"]+)"', block))


@pytest.mark.parametrize("name", [n for n in CATALOG["versions"] if n != "ktlint"])
def test_each_version_of_the_catalog_is_the_poms(name: str) -> None:
    properties = pom_properties()
    assert properties[f"{PROPERTIES.get(name, name)}.version"] == CATALOG["versions"][name]


def test_both_builds_have_the_same_dependencies() -> None:
    assert gradle_dependencies() == maven_dependencies()
    assert gradle_dependencies(), "none were read from build.gradle.kts: has its form changed?"


def test_both_builds_the_sdk_and_the_application_master_have_one_version() -> None:
    gradle = re.search(r'^version = "([^"]+)"', GRADLE, re.M)
    sdk = re.search(
        r'^version = "([^"]+)"', (ROOT / "sdk-python" / "pyproject.toml").read_text(), re.M
    )
    assert gradle is not None
    assert sdk is not None
    assert gradle.group(1) == text(POM, "version") == sdk.group(1)


def test_both_jars_relocate_the_same_packages() -> None:
    block = re.search(
        r"listOf\(([^)]*)\)\.forEach \{ relocate\(it, \"knit\.shaded\.\$it\"\) \}", GRADLE
    )
    assert block is not None
    relocations = {
        text(each, "pattern"): text(each, "shadedPattern")
        for each in plugin("maven-shade-plugin").iter(f"{{{NAMESPACE['m']}}}relocation")
    }
    assert strings_in(block.group(1)) == set(relocations)
    assert relocations == {pattern: f"knit.shaded.{pattern}" for pattern in relocations}


def test_both_jars_leave_out_the_same_files() -> None:
    block = re.search(r"^  exclude\((.*?)^  \)", GRADLE, re.M | re.S)
    assert block is not None
    excludes = {
        each.text for each in plugin("maven-shade-plugin").iter(f"{{{NAMESPACE['m']}}}exclude")
    }
    # Gradle writes the manifest itself; it never takes one from a dependency.
    assert strings_in(block.group(1)) == excludes - {"META-INF/MANIFEST.MF"}


def test_both_jars_start_at_the_same_class() -> None:
    main_class = next(plugin("maven-shade-plugin").iter(f"{{{NAMESPACE['m']}}}mainClass")).text
    assert f'"Main-Class" to "{main_class}"' in GRADLE


def test_both_builds_generate_stubs_with_the_same_options() -> None:
    options = [
        each.text for each in plugin("protobuf-maven-plugin").iter(f"{{{NAMESPACE['m']}}}options")
    ]
    assert strings_in("".join(re.findall(r"option\([^)]*\)", GRADLE))) == set(options)


def test_both_builds_take_the_launch_script_from_the_sdk() -> None:
    directory, script = "sdk-python/src/knit", "_launch_am.sh"
    assert (ROOT / directory / script).is_file()
    [resource] = [
        each
        for each in POM.iterfind("m:build/m:resources/m:resource", NAMESPACE)
        if text(each, "directory") == f"../{directory}"
    ]
    block = re.search(rf'from\([^)]*dir\("{directory}"\)\) \{{(.*?)\}}', GRADLE, re.S)
    assert block is not None
    wanted = {script, "knit/client"}
    assert wanted == {text(resource, "includes/include"), text(resource, "targetPath")}
    assert wanted == strings_in(block.group(1))


def test_both_builds_make_java_8_bytecode() -> None:
    assert pom_properties()["java.release"] == "8"
    assert text(plugin("kotlin-maven-plugin"), "configuration/jvmTarget") == "1.8"
    assert "jvmTarget = JvmTarget.JVM_1_8" in GRADLE
    assert "options.release = 8" in GRADLE
