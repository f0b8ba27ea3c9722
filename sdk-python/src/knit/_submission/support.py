"""What a specification may say and this version of knit cannot do yet, or only in part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from knit._values.application_master import AttemptPolicy
from knit._values.placement import Spread
from knit._values.places import at
from knit._values.services import Service
from knit._values.spec import ApplicationSpec
from knit.exceptions import NeedsAgentError, SpecError

USUAL_STOP_GRACE = timedelta(milliseconds=250)
"""Between SIGTERM and SIGKILL, where a cluster does not say otherwise."""


def unsupported(spec: ApplicationSpec) -> Iterator[SpecError]:
    """What is refused at submission."""
    yield from needing_an_agent(spec.services)


def needing_an_agent(services: Mapping[str, Service]) -> Iterator[SpecError]:
    """What services ask for that only an agent in the container could do, by name."""
    for name, service in services.items():
        for keys, probe in (
            (("readiness", "probe"), service.readiness and service.readiness.probe),
            (("liveness",), service.liveness),
        ):
            if probe is not None:
                instead = (
                    "have the program report it, with reported"
                    if keys[0] == "readiness"
                    else "have the program look after itself"
                )
                yield at(
                    ("services", name, *keys),
                    "YARN runs nothing in a running container, so a probe needs an agent beside "
                    f"the program, which there is not yet (NEEDS_AGENT): {instead}.",
                    kind=NeedsAgentError,
                )


def check_supported(spec: ApplicationSpec) -> None:
    """
    Raises for the first thing that is refused at submission.

    Raises:
        NeedsAgentError: It asks for a probe.
    """
    for error in unsupported(spec):
        raise error


def restrictions(spec: ApplicationSpec) -> Iterator[str]:
    """What is taken and does not, or not always, do what one would think, in sentences."""
    for name, service in spec.services.items():
        grace = service.stop_grace
        if grace is not None and grace > USUAL_STOP_GRACE:
            yield (
                f"services.{name}.stop_grace: nodes kill a process "
                "yarn.nodemanager.sleep-delay-before-sigkill.ms after SIGTERM, 250 ms by default, "
                f"and not after {grace.total_seconds():g} s: more than that takes an agent in the "
                "container, which there is not yet."
            )
        where = service.placement
        if (
            where is not None
            and where.strict
            and where.spread is Spread.ANTI_AFFINITY
            and not where.racks
            and service.instances > len(where.nodes)
        ):
            yield (
                f"services.{name}.placement: {service.instances} containers are to be each on a "
                f"node of its own, and {len(where.nodes)} are named: the others wait for ever."
            )
    if spec.max_attempts == 1 and spec.attempt_policy is AttemptPolicy.FAILURES:
        yield (
            "attempt_policy: a failed application is to be tried again, and max_attempts is 1: "
            "give 2 or more."
        )
    if spec.max_attempts == 1 and spec.attempt_failures_validity is not None:
        yield "attempt_failures_validity: without max_attempts of 2 or more it has no effect."
