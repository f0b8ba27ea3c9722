"""What YARN makes of an application that has failed, and of one that somebody has ended."""

from __future__ import annotations

import knit
from knit import AttemptPolicy, ContainerState, FinalStatus

from integration.applications import PATIENCE, SMALL, Applications, wait_for_states

# The number of the attempt is a part of YARN's name for its containers.
SECOND_TIME_LUCKY = 'case "$KNIT_CONTAINER_ID" in *_02_*) exit 0;; *) exit 7;; esac'


def test_a_failed_application_is_tried_again_where_it_says_so(applications: Applications) -> None:
    service = knit.Service(SECOND_TIME_LUCKY, resources=SMALL, max_restarts=0)
    app = applications.submit(service, attempt_policy=AttemptPolicy.FAILURES, max_attempts=2)
    report = app.wait(timeout=PATIENCE)
    assert (report.final_status, report.attempt_number) == (FinalStatus.SUCCEEDED, 2)


def test_a_failed_application_is_not_tried_again_unless_it_says_so(
    applications: Applications,
) -> None:
    service = knit.Service("exit 7", resources=SMALL, max_restarts=0)
    report = applications.submit(service, max_attempts=2).wait(timeout=PATIENCE)
    assert (report.final_status, report.attempt_number) == (FinalStatus.FAILED, 1)


def test_what_a_user_has_ended_is_over_whatever_is_tried_again(applications: Applications) -> None:
    service = knit.Service("sleep 600", resources=SMALL)
    app = applications.submit(service, attempt_policy=AttemptPolicy.FAILURES, max_attempts=2)
    wait_for_states(app, 1, ContainerState.RUNNING)
    app.stop(final_status=FinalStatus.FAILED, diagnostics="enough")
    report = app.wait(timeout=PATIENCE)
    assert (report.final_status, report.attempt_number) == (FinalStatus.FAILED, 1)
    assert "enough" in report.diagnostics
