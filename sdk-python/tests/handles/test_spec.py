"""What an application was submitted as, asked of a fake Application Master over real gRPC."""

from __future__ import annotations

from datetime import timedelta

import attrs

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
    ExitReason,
    FailurePolicy,
    File,
    FileSystem,
    LogLevel,
    Placement,
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
from knit.testing import FakeApplicationMaster

PATIENCE = timedelta(seconds=60)
SECOND = timedelta(seconds=1)
RICH = ApplicationSpec(
    "rich",
    {
        "store": Service("serve", readiness=Readiness(reported=True, min_ready=5 * SECOND)),
        "work.er_One": Service(
            'work "$X"\n',
            instances=3,
            resources=Resources("2 GiB", 2, {"yarn.io/gpu": 1}),
            files={
                "data.csv": File("hdfs://cluster/d/data.csv", visibility=Visibility.PUBLIC),
                "all": File("hdfs://cluster/d/all.zip", archive=True),
            },
            environment={"TOKEN": "hunter2", "EMPTY": ""},
            python_environment="hdfs://cluster/env.tar.gz",
            depends={"store": DependencyCondition.STARTED},
            restart_budgets=[
                RestartBudget(
                    2, [ExitReason.EXITED], scope=RestartScope.SERVICE, window=60 * SECOND
                ),
                RestartBudget(None, [ExitReason.PREEMPTED]),
            ],
            back_off=BackOff(first=timedelta(), factor=3.0, most=timedelta(), reset_after=SECOND),
            failure_policy=FailurePolicy.FINISH_OTHERS,
            placement=Placement(nodes=["n1"], racks=["/r1"], strict=True, spread=Spread.EVENLY),
            stop_grace=30 * SECOND,
            starts_together=True,
            allocation_limit=90 * SECOND,
            allocation_policy=AllocationPolicy.GO_ON,
            update_policy=UpdatePolicy(
                max_surge=0, max_unavailable=2, failure_policy=UpdateFailurePolicy.PAUSE
            ),
            access=Access.OPERATOR,
            resource_manager_token=True,
            scale_down_order=ScaleDownOrder.NEWEST_FIRST,
        ),
    },
    queue="root.a",
    priority=0,
    tags=["nightly", "b"],
    type="batch",
    user="ada",
    lifetime=timedelta(days=1),
    node_label="gpu",
    max_attempts=3,
    attempt_failures_validity=timedelta(minutes=90),
    attempt_policy=AttemptPolicy.FAILURES,
    access_control=AccessControl(
        view_users=["ada"], view_groups=["g"], modify_users=["*"], modify_groups=["h"]
    ),
    application_master=Resources("1 GiB", 2),
    master_environment={"JAVA_TOOL_OPTIONS": "-Dsecret=hunter2"},
    master_node_label="big",
    master_log_level=LogLevel.DEBUG,
    master_ports=(50_100, 50_200),
    linger=timedelta(),
    annotations={"text": "grün", "bytes": b"\xff\0"},
    driver=Driver(
        "python d.py",
        files={"d.py": File("hdfs://cluster/d/d.py", visibility=Visibility.APPLICATION)},
        environment={"TOKEN": "hunter2"},
        python_environment="hdfs://cluster/env.tar.gz",
        access=Access.OPERATOR,
        resource_manager_token=True,
    ),
    client_grants=[ClientGrant("sha256:" + "0f" * 32, Role.VIEWER)],
    file_systems=["hdfs://archive", FileSystem("hdfs://other:8020", without_renewer=True)],
    principal="alice@EXAMPLE.COM",
)
STAGED = "hdfs://fake/PYTHON_DIR.tar.gz"


def as_staged() -> ApplicationSpec:
    """The fake stages environments, and leaves what lies on the cluster where it is."""
    worker = attrs.evolve(RICH.services["work.er_One"], python_environment=STAGED)
    assert RICH.driver is not None
    return attrs.evolve(
        RICH,
        services={**RICH.services, "work.er_One": worker},
        driver=attrs.evolve(RICH.driver, python_environment=STAGED),
    )


def test_a_rich_specification_says_something_in_every_field() -> None:
    """So that the tests here are of all there is."""
    plain = ApplicationSpec("plain", {"w": Service("true")})
    driver, worker = RICH.driver, RICH.services["work.er_One"]
    assert driver is not None
    said: list[tuple[attrs.AttrsInstance, attrs.AttrsInstance]] = [
        (RICH, plain),
        (worker, plain.services["w"]),
        (driver, Driver("true")),
    ]
    for rich, unsaid in said:
        for field in attrs.fields(type(rich)):
            if field.name not in (
                *("max_restarts", "max_replacements"),  # restart_budgets are in their place
                "keytab",  # a path of the machine that submits, which nobody is told
                *("liveness", "readiness"),  # probes need an agent; `store` has the other kind
            ):
                assert getattr(rich, field.name) != getattr(unsaid, field.name), field.name


def test_what_was_submitted_comes_back_whole() -> None:
    with FakeApplicationMaster(RICH) as fake:
        app = fake.application(timeout=PATIENCE)
        found = app.spec(with_values=True)
        assert found == as_staged()
        assert ApplicationSpec.from_dict(found.to_dict()) == found


def test_values_and_annotations_are_left_out_unless_asked_for() -> None:
    with FakeApplicationMaster(RICH) as fake:
        app = fake.application(timeout=PATIENCE)
        found = app.spec()
        expected = as_staged()
        assert expected.driver is not None
        assert found == attrs.evolve(
            expected,
            services={
                name: attrs.evolve(s, environment=dict.fromkeys(s.environment, ""))
                for name, s in expected.services.items()
            },
            driver=attrs.evolve(expected.driver, environment={"TOKEN": ""}),
            master_environment={"JAVA_TOOL_OPTIONS": ""},
            annotations={},
        )
        assert "hunter2" not in found.to_json()


def test_annotations_are_those_of_now() -> None:
    with FakeApplicationMaster(RICH) as fake:
        app = fake.application(timeout=PATIENCE)
        app.annotate({"text": None, "more": b"1"})
        found = app.spec(with_values=True)
        assert found.annotations == {"bytes": b"\xff\0", "more": b"1"}
