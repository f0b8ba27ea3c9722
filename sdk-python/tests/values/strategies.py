"""Specifications of all kinds, for properties."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from knit import (
    Access,
    AccessControl,
    AllocationPolicy,
    ApplicationSpec,
    AttemptPolicy,
    BackOff,
    ClientGrant,
    DependencyCondition,
    Driver,
    FailurePolicy,
    File,
    FileSystem,
    HttpCheck,
    LogLevel,
    Placement,
    Probe,
    Readiness,
    Resources,
    RestartBudget,
    RestartScope,
    Role,
    ScaleDownOrder,
    Service,
    Spread,
    UpdateFailurePolicy,
    UpdatePolicy,
    Visibility,
)
from knit._values.enums import OpenEnum
from knit._values.restarts import PROGRAM_FAILED, TAKEN_AWAY
from knit.v1 import service_pb2

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
WORDS = TEXT.filter(lambda text: text.strip() != "")
NAMES = st.from_regex(r"[A-Za-z0-9]([-._A-Za-z0-9]{0,10}[A-Za-z0-9])?", fullmatch=True)
FILE_NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_ .-]{0,10}", fullmatch=True).filter(
    lambda name: not name.startswith("launch") and name != "tmp"
)
COUNTS = st.integers(0, 2**31 - 1)
LABELS = st.none() | st.from_regex(r"[A-Za-z0-9][-_A-Za-z0-9]{0,9}", fullmatch=True)
TIMES = st.timedeltas(timedelta(seconds=1), timedelta(days=366))
VARIABLES = st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), TEXT, max_size=3)
ENVIRONMENTS = st.none() | st.sampled_from(["running", "/env", "hdfs://cluster/env.zip"])
OTHERS = st.dictionaries(
    st.sampled_from(["yarn.io/gpu", "yarn.io/fpga", "licence"]), st.integers(1, 2**63 - 1)
)
RESOURCES = st.builds(Resources, st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1), OTHERS)
FILES = st.one_of(
    st.builds(File, FILE_NAMES.map("/data/{}".format), FILE_NAMES),
    st.builds(
        File,
        FILE_NAMES.map("hdfs://cluster/data/{}.tar.gz".format),
        FILE_NAMES,
        st.booleans(),
        st.sampled_from([v for v in Visibility if v]),
    ),
)
FILE_LISTS = st.lists(FILES, max_size=3, unique_by=lambda file: file.name)


def any_of(kind: type[OpenEnum]) -> st.SearchStrategy[Any]:
    """Every member that can be written."""
    return st.sampled_from([member for member in kind if member])


@st.composite
def budgets(draw: st.DrawFn) -> list[RestartBudget]:
    """Up to four, which share no reason."""
    reasons = draw(st.permutations([*PROGRAM_FAILED, *TAKEN_AWAY]))
    found = []
    for _ in range(draw(st.integers(0, 4))):
        count = draw(st.integers(1, 2))
        window = draw(st.none() | TIMES)
        found.append(
            RestartBudget(
                draw(st.none() | COUNTS) if window is None else draw(st.integers(0, 1_000)),
                reasons[:count],
                scope=draw(any_of(RestartScope)),
                window=window,
            )
        )
        reasons = reasons[count:]
    return found


PROBES = st.builds(
    lambda check, **rest: Probe(**{check[0]: check[1]}, **rest),
    st.one_of(
        st.tuples(st.just("tcp_port"), st.integers(1, 65535)),
        st.tuples(st.just("http"), st.builds(HttpCheck, st.integers(1, 65535))),
        st.tuples(st.just("command"), WORDS),
    ),
    delay=TIMES,
    period=TIMES,
    timeout=TIMES,
    failures=st.integers(1, 9),
    successes=st.integers(1, 9),
)
READINESS = st.builds(
    lambda source, **rest: Readiness(**source, **rest),
    st.one_of(st.just({}), st.just({"reported": True}), PROBES.map(lambda probe: {"probe": probe})),
    min_ready=st.none() | TIMES,
    limit=st.none() | TIMES,
)
PLACEMENTS = st.one_of(
    st.builds(Placement, node_label=LABELS, spread=st.none() | any_of(Spread)),
    st.builds(
        Placement,
        nodes=st.lists(st.from_regex(r"[a-z0-9.]{1,9}", fullmatch=True), min_size=1, max_size=3),
        racks=st.lists(st.from_regex(r"/[a-z0-9/]{1,9}", fullmatch=True), max_size=3),
        strict=st.booleans(),
        spread=st.none() | any_of(Spread),
    ),
)
BACK_OFFS = st.builds(
    BackOff,
    first=st.none() | st.timedeltas(timedelta(), timedelta(seconds=1)),
    factor=st.floats(1, 100),
    most=TIMES,
    reset_after=TIMES,
)
UPDATES = st.builds(
    UpdatePolicy,
    max_surge=st.integers(0, 9),
    max_unavailable=st.integers(1, 9),
    failures=st.integers(1, 9),
    ready_limit=TIMES,
    failure_policy=any_of(UpdateFailurePolicy),
)


@st.composite
def services(draw: st.DrawFn) -> Service:
    """Without what it depends on, which takes other services."""
    in_full = draw(budgets())
    limit = draw(st.none() | TIMES)
    rest: dict[str, Any] = {}
    if in_full:
        rest["restart_budgets"] = in_full
    else:
        rest |= {"max_restarts": draw(COUNTS), "max_replacements": draw(COUNTS)}
    if limit is not None:
        rest["allocation_policy"] = draw(any_of(AllocationPolicy))
    return Service(
        command=draw(WORDS),
        instances=draw(st.integers(0, 20_000)),
        resources=draw(RESOURCES),
        files=draw(FILE_LISTS),
        environment=draw(VARIABLES),
        python_environment=draw(ENVIRONMENTS),
        back_off=draw(st.none() | BACK_OFFS),
        failure_policy=draw(any_of(FailurePolicy)),
        placement=draw(st.none() | PLACEMENTS),
        readiness=draw(st.none() | READINESS),
        liveness=draw(st.none() | PROBES),
        stop_grace=draw(st.none() | st.timedeltas(timedelta(), timedelta(hours=1))),
        starts_together=draw(st.booleans()),
        allocation_limit=limit,
        update_policy=draw(st.none() | UPDATES),
        access=draw(any_of(Access)),
        resource_manager_token=draw(st.booleans()),
        scale_down_order=draw(any_of(ScaleDownOrder)),
        **rest,
    )


@st.composite
def specs(draw: st.DrawFn) -> ApplicationSpec:
    """Up to three services, each of which may wait for those before it, and perhaps a driver."""
    import attrs

    found: dict[str, Service] = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)):
        depends = {}
        if found:
            depends = draw(
                st.dictionaries(st.sampled_from(list(found)), any_of(DependencyCondition))
            )
        found[name] = attrs.evolve(draw(services()), depends=depends)
    sha = "sha256:" + "0f" * 32
    users = st.lists(st.sampled_from(["ada", "bob", "*"]), max_size=2, unique=True)
    return ApplicationSpec(
        draw(WORDS),
        found,
        queue=draw(st.from_regex(r"[a-z.]{1,10}", fullmatch=True)),
        priority=draw(st.none() | COUNTS),
        tags=draw(st.lists(st.from_regex(r"[a-z]{1,10}", fullmatch=True), max_size=3)),
        type=draw(st.from_regex(r"[a-z]{1,20}", fullmatch=True)),
        user=draw(st.none() | st.just("ada")),
        lifetime=draw(st.none() | TIMES),
        node_label=draw(LABELS),
        max_attempts=draw(st.integers(1, 9)),
        attempt_failures_validity=draw(st.none() | TIMES),
        attempt_policy=draw(any_of(AttemptPolicy)),
        access_control=draw(
            st.none()
            | st.builds(
                AccessControl,
                view_users=users,
                view_groups=users,
                modify_users=users,
                modify_groups=users,
            )
        ),
        application_master=Resources(draw(st.integers(1, 2**31 - 1)), draw(st.integers(1, 64))),
        master_environment=draw(VARIABLES),
        master_node_label=draw(LABELS),
        master_log_level=draw(any_of(LogLevel)),
        master_ports=draw(st.none() | st.tuples(st.integers(1, 1024), st.integers(1024, 65535))),
        linger=draw(st.timedeltas(timedelta(), timedelta(minutes=5))),
        annotations=draw(st.dictionaries(WORDS, TEXT | st.binary(max_size=20), max_size=3)),
        driver=draw(
            st.none()
            | st.builds(
                Driver,
                WORDS,
                files=FILE_LISTS,
                environment=VARIABLES,
                python_environment=ENVIRONMENTS,
                access=any_of(Access),
                resource_manager_token=st.booleans(),
            )
        ),
        client_grants=draw(
            st.lists(
                st.builds(
                    ClientGrant,
                    st.sampled_from([sha, "/certs/a.pem"]),
                    st.sampled_from([Role.OWNER, Role.OPERATOR, Role.VIEWER]),
                ),
                max_size=2,
            )
        ),
        file_systems=draw(
            st.dictionaries(
                st.sampled_from(["hdfs://ns", "hdfs://other:8020", "hdfs://[::1]:9"]),
                st.booleans(),
            ).map(lambda given: [FileSystem(u, without_renewer=w) for u, w in given.items()])
        ),
        keytab=draw(st.none() | st.just("/keytabs/alice")),
        principal=draw(st.none() | st.sampled_from(["alice@R", "svc/host@EXAMPLE.COM"])),
    )


SERVICES = services()
SPECS = specs()


def as_they_lie(of: Service | Driver) -> dict[str, service_pb2.LocalResource]:
    """What is beside a command, as if it lay on the cluster where the specification says."""
    source = of.python_environment
    environment = [] if source is None else [File(source, "PYTHON_DIR")]
    return {
        file.name: service_pb2.LocalResource(
            url=file.source,
            type=(
                service_pb2.LOCAL_RESOURCE_TYPE_ARCHIVE
                if file.archive
                else service_pb2.LOCAL_RESOURCE_TYPE_FILE
            ),
            visibility=service_pb2.LocalResourceVisibility.ValueType(file.visibility),
        )
        for file in [*of.files.values(), *environment]
    }
