"""What the ResourceManager is asked to start: the Application Master, and how."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path

import attrs

from knit._cluster.security.tokens import Token
from knit._cluster.yarn.submission import Submission, SubmittedFile
from knit._staging.values import LocalResource
from knit._values.access import AccessControl
from knit._values.driver import JAR_NAME
from knit._values.logs import ROLLED_SUFFIX
from knit._values.spec import APPLICATION_TYPE, LARGEST_SPEC_BYTES
from knit.exceptions import SpecError

MAIN_CLASS = "knit.am.MainKt"
SPEC_SECRET = "knit.application"  # noqa: S105  (the name of a secret, not one)
#: The Application Master leaves with this code where it finds no Java or no Hadoop.
NO_HADOOP_EXIT_CODE = 14
#: Log files that are complete, by their names' end, for nodes remove what they collect while a
#: program still runs. What it holds open, as its stdout, would be lost from then on.
ROLLED_LOGS = rf"{re.escape(ROLLED_SUFFIX)}$"
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
#: With a driver, whose memory the rest of the container is.
_HEAP_BESIDE_A_DRIVER_MIB = 128
_SMALL_HEAP_BESIDE_A_DRIVER_MIB = 96
_SMALL_CONTAINER_MIB = 512


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
    application_type: str = APPLICATION_TYPE
    tags: tuple[str, ...] = ()
    max_attempts: int = 1
    priority: int | None = None
    attempt_failures_validity: timedelta | None = None
    """Attempts that failed longer ago do not count. None: all count."""
    node_label: str | None = None
    """The partition of its containers, unless they ask for another one."""
    master_node_label: str | None = None
    """The partition of the Application Master's. None: as `node_label`."""
    access_control: AccessControl | None = None
    environment: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Variables of the Application Master, which travel among the credentials."""
    has_driver: bool = False
    """Whether a driver shares its container."""
    driver_files: Mapping[str, LocalResource] = attrs.field(factory=dict)
    """What lies beside the driver, by name."""
    tokens: tuple[Token, ...] = attrs.field(default=(), repr=False)
    """Delegation tokens: YARN renews them."""
    cancels_tokens: bool = True
    """Whether YARN cancels them after the application's end: not where somebody else has them."""
    rolled_logs: str | None = None
    """Which log files may be collected, and removed from the node, while their program runs."""

    def to_submission(self) -> Submission:
        """
        What YARN is handed.

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
            # YARN itself tells no attempt how many there may be.
            environment={**self.environment, "MAX_APP_ATTEMPTS": str(self.max_attempts)},
            has_driver=self.has_driver,
        )
        files = {JAR_NAME: self.jar, **self.driver_files}
        access = self.access_control
        return Submission(
            application_id=self.application_id,
            name=self.name,
            application_type=self.application_type,
            queue=self.queue,
            memory_mib=self.memory_mib,
            vcores=self.vcores,
            command=LAUNCH_COMMAND,
            files={name: _submitted(file) for name, file in files.items()},
            secrets={**self.secrets, LAUNCH_SECRET: launch_secret(script)},
            tokens=self.tokens,
            cancels_tokens=self.cancels_tokens,
            access={} if access is None else acls_of(access),
            tags=self.tags,
            max_attempts=self.max_attempts,
            priority=self.priority,
            attempt_failures_validity=self.attempt_failures_validity,
            node_label=self.node_label,
            master_node_label=self.master_node_label or self.node_label,
            rolled_logs=self.rolled_logs,
        )


def acls_of(access: AccessControl) -> dict[str, str]:
    """Access control as YARN writes it: users, a space, groups; commas between them."""
    return {
        "VIEW_APP": f"{','.join(access.view_users)} {','.join(access.view_groups)}",
        "MODIFY_APP": f"{','.join(access.modify_users)} {','.join(access.modify_groups)}",
    }


def _submitted(file: LocalResource) -> SubmittedFile:
    return SubmittedFile(
        url=file.url,
        size_bytes=file.size_bytes,
        modify_time_ms=file.modify_time_ms,
        type=file.type,
        visibility=file.visibility,
    )


def launch_secret(script: str) -> bytes:
    """A script as `LAUNCH_COMMAND` finds it among binary credentials: a line of its own."""
    return b"\nknit-launch:" + base64.b64encode(script.encode()) + b"\n"


def heap_mib(memory_mib: int, *, has_driver: bool = False) -> int:
    """How much of the Application Master's container its heap may take."""
    if has_driver:
        small = memory_mib < _SMALL_CONTAINER_MIB
        return _SMALL_HEAP_BESIDE_A_DRIVER_MIB if small else _HEAP_BESIDE_A_DRIVER_MIB
    reserve = max(_SMALLEST_RESERVE_MIB, memory_mib // 4)
    return max(_SMALLEST_HEAP_MIB, memory_mib - reserve)


def am_script(
    memory_mib: int,
    application_classpath: Iterable[str],
    user_name: str | None = None,
    *,
    class_archive: bool = True,
    environment: Mapping[str, str] | None = None,
    has_driver: bool = False,
) -> str:
    """
    The bash script that finds Java and Hadoop on a node and becomes the Application Master.

    Args:
        memory_mib: The size of its container.
        application_classpath: Where the client's configuration says that Hadoop's jars are, with
            the node's own variables in it.
        user_name: Who it is to a cluster with simple authentication. None: who the tokens say.
        class_archive: Whether the node may keep an archive of classes for the next one.
        environment: Variables of the Application Master's process.
        has_driver: Whether a driver shares its container, whose the rest of the memory is.
    """
    settings = "\n".join(
        (
            *(f"export {n}={shlex.quote(value)}" for n, value in (environment or {}).items()),
            *([f"export HADOOP_USER_NAME={shlex.quote(user_name)}"] if user_name else []),
            f"application_classpath=({' '.join(map(_for_the_node, application_classpath))})",
            f"class_archive={'true' if class_archive else 'false'}",
            f"heap_mib={heap_mib(memory_mib, has_driver=has_driver)}",
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
