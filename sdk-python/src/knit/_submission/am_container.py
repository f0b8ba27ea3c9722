"""What the ResourceManager is asked to start: the Application Master, and how."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs

from knit._staging.values import LocalResource
from knit._values.spec import LARGEST_SPEC_BYTES
from knit.exceptions import SpecError

APPLICATION_TYPE = "knit"
MAIN_CLASS = "knit.am.MainKt"
JAR_NAME = "knit-am.jar"
SPEC_SECRET = "knit.application"  # noqa: S105  (the name of a secret, not one)
#: The Application Master leaves with this code where it finds no Java or no Hadoop.
NO_HADOOP_EXIT_CODE = 14
LAUNCH_SECRET = "knit.launch"  # noqa: S105  (likewise)

#: What `launch_container.sh` runs, in YARN's own spelling, for the Application Master as for every
#: container: it evaluates the script that it finds among the credentials (`launch_secret`). YARN
#: pastes the command into `exec /bin/bash -c "…"`, so everything that the outer shell is not to
#: touch is escaped.
LAUNCH_COMMAND = (
    "exec 1><LOG_DIR>/stdout 2><LOG_DIR>/stderr </dev/null; "
    r"knit_launch=\$(LC_ALL=C sed -n 's/^knit-launch://p' \"\$HADOOP_TOKEN_FILE_LOCATION\" "
    r"| base64 -d) "
    r"&& eval \"\${knit_launch:?is not among the credentials of this container}\""
)

_SCRIPT = Path(__file__).parents[1] / "_launch_am.sh"
# Within double quotes, what bash would take for something else than itself or a variable.
_SPECIAL = re.compile(r'["`\\]|\$(?!\w|\{\w+\})')
_SMALLEST_HEAP_MIB = 64
_SMALLEST_RESERVE_MIB = 160


@attrs.frozen(kw_only=True)
class AmSubmission:
    """One application, ready to be handed in."""

    application_id: str
    name: str
    queue: str
    memory_mib: int
    """Of the Application Master's container."""
    vcores: int
    jar: LocalResource
    application_classpath: tuple[str, ...]
    """`yarn.application.classpath`: where a node finds Hadoop's jars."""
    class_archive: bool = True
    """Whether the node may keep an archive of classes for the next one."""
    user_name: str | None = None
    """Whose name it gives to a cluster with simple authentication: its process may be another's."""
    secrets: Mapping[str, bytes] = attrs.field(repr=False)
    """For the Application Master's eyes only: the specification and its keys."""
    tags: tuple[str, ...] = ()
    max_attempts: int = 1
    priority: int | None = None
    attempt_failures_validity: timedelta | None = None
    """Attempts that failed longer ago do not count. None: all count."""

    def to_rest(self) -> dict[str, Any]:
        """
        The body of `POST ws/v1/cluster/apps`.

        Raises:
            SpecError: The specification is too large to travel in it.
        """
        size = len(self.secrets.get(SPEC_SECRET, b""))
        if size > LARGEST_SPEC_BYTES:
            raise SpecError(
                f"The specification takes {size} bytes, more than the {LARGEST_SPEC_BYTES} that a "
                "submission can carry. Put long commands and large values into files."
            )
        script = am_script(
            self.memory_mib,
            self.application_classpath,
            self.user_name,
            class_archive=self.class_archive,
        )
        secrets = {**self.secrets, LAUNCH_SECRET: launch_secret(script)}
        body: dict[str, Any] = {
            "application-id": self.application_id,
            "application-name": self.name,
            "application-type": APPLICATION_TYPE,
            "queue": self.queue,
            "max-app-attempts": self.max_attempts,
            "keep-containers-across-application-attempts": False,
            "unmanaged-AM": False,
            "resource": {"memory": self.memory_mib, "vCores": self.vcores},
            "am-container-spec": {
                "commands": {"command": LAUNCH_COMMAND},
                "local-resources": {"entry": [{"key": JAR_NAME, "value": _resource(self.jar)}]},
                "credentials": {
                    "secrets": {
                        "entry": _entries(
                            {
                                name: base64.urlsafe_b64encode(value).decode()
                                for name, value in secrets.items()
                            }
                        )
                    }
                },
            },
        }
        if self.tags:
            body["application-tags"] = {"tag": list(self.tags)}
        if self.priority is not None:
            body["priority"] = self.priority
        if self.attempt_failures_validity is not None:
            body["attempt-failures-validity-interval"] = int(
                self.attempt_failures_validity / timedelta(milliseconds=1)
            )
        return body


def _entries(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _resource(resource: LocalResource) -> dict[str, Any]:
    return {
        "resource": resource.url,
        "type": resource.type,
        "visibility": resource.visibility,
        "size": resource.size_bytes,
        "timestamp": resource.modify_time_ms,
    }


def launch_secret(script: str) -> bytes:
    """A script as `LAUNCH_COMMAND` finds it among binary credentials: a line of its own."""
    return b"\nknit-launch:" + base64.b64encode(script.encode()) + b"\n"


def heap_mib(memory_mib: int) -> int:
    """How much of the Application Master's container its heap may take."""
    reserve = max(_SMALLEST_RESERVE_MIB, memory_mib // 4)
    return max(_SMALLEST_HEAP_MIB, memory_mib - reserve)


def am_script(
    memory_mib: int,
    application_classpath: Iterable[str],
    user_name: str | None = None,
    *,
    class_archive: bool = True,
) -> str:
    """
    The bash script that finds Java and Hadoop on a node and becomes the Application Master.

    Args:
        memory_mib: The size of its container.
        application_classpath: Where the client's configuration says that Hadoop's jars are, with
            the node's own variables in it.
        user_name: Who it is to a cluster with simple authentication. None: who the tokens say.
        class_archive: Whether the node may keep an archive of classes for the next one.
    """
    settings = "\n".join(
        (
            *([f"export HADOOP_USER_NAME={shlex.quote(user_name)}"] if user_name else []),
            f"application_classpath=({' '.join(map(_for_the_node, application_classpath))})",
            f"class_archive={'true' if class_archive else 'false'}",
            f"heap_mib={heap_mib(memory_mib)}",
            f"jar_name={JAR_NAME}",
            f"main_class={MAIN_CLASS}",
            f"no_hadoop_exit_code={NO_HADOOP_EXIT_CODE}",
        )
    )
    return f"{settings}\n{_SCRIPT.read_text(encoding='utf-8')}"


def _for_the_node(entry: str) -> str:
    """One entry as a word of the script: variables are expanded on the node, and nothing else."""
    # Cross-platform configurations write {{X}}, which YARN would replace, but not in here.
    entry = re.sub(r"\{\{(\w+)\}\}", r"${\1}", entry).replace("<CPS>", ":")
    return '"' + re.sub(_SPECIAL, r"\\\g<0>", entry) + '"'
