"""Variables in the values of Hadoop's properties: `${property}`, `${env.NAME}`, `${user.name}`."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import tempfile
from collections.abc import Mapping

from knit._cluster.configuration.old_names import current_name
from knit.exceptions import ConfigurationError

VARIABLE = re.compile(r"\$\{([^}$\s]+)\}")

MAX_DEPTH = 20
"""Hadoop substitutes at most this often in one value, and then gives up; so deep do we go."""
MOST_SUBSTITUTIONS = 1_000
"""In one value, all together: few references to few properties come to any number of them."""
LONGEST_VALUE = 1 << 20
"""Characters of a value with its variables replaced. The longest that sites have, classpaths, have
some thousands."""

#: What Hadoop's own commands pass to Java, from where its properties come.
_OPTIONS = ("HADOOP_OPTS", "HADOOP_CLIENT_OPTS", "YARN_OPTS", "YARN_CLIENT_OPTS")


def substitute(
    name: str, values: Mapping[str, str], environment: Mapping[str, str] | None = None
) -> str:
    """
    The value of a property with its variables replaced, as Hadoop does it.

    `${property}`, `${env.NAME}`, `${env.NAME:-default}` (unset or empty) and `${env.NAME-default}`
    (unset) are replaced, over and over; a variable that nobody defines stays as it is. A value
    that comes upon a property which refers to itself stays whole.

    Args:
        name: A property that is in `values`.
        values: All properties.
        environment: Default: this process's.

    Raises:
        ConfigurationError: Properties that refer to each other in a circle, too long a chain, or
            a value that grows beyond all bounds.
    """
    environment = os.environ if environment is None else environment
    try:
        return _Expansion(name, values, environment).of(values[name], trail=(name,))
    except _RefersToItselfError:
        return values[name]


class _RefersToItselfError(Exception):
    """A property's own value has its own name in it, which Hadoop leaves alone."""


class _Expansion:
    def __init__(
        self, name: str, values: Mapping[str, str], environment: Mapping[str, str]
    ) -> None:
        self._name = name
        self._values = values
        self._environment = environment
        self._count = 0

    def of(self, text: str, trail: tuple[str, ...]) -> str:
        # A variable can come about by replacing another one, as in ${rm.${env}}.
        for _ in range(MAX_DEPTH):
            replaced = VARIABLE.sub(lambda match: self._value(match, trail), text)
            if len(replaced) > LONGEST_VALUE:
                raise self._problem(f"it becomes longer than {LONGEST_VALUE} characters")
            if replaced == text:
                return text
            text = replaced
        raise self._problem(f"its variables make new ones more than {MAX_DEPTH} times")

    def _value(self, match: re.Match[str], trail: tuple[str, ...]) -> str:
        variable = match.group(1)
        found = self._lookup(variable)
        if found is None:
            return match.group(0)
        if match.group(0) in found:
            raise _RefersToItselfError
        self._count += 1
        if variable in trail:
            circle = " -> ".join((*trail[trail.index(variable) :], variable))
            raise ConfigurationError(
                f"The property {self._name} cannot be worked out, its variables lead in a circle: "
                f"{circle}. Give one of them a value of its own."
            )
        if len(trail) > MAX_DEPTH:
            raise ConfigurationError(
                f"The property {self._name} cannot be worked out: its variables are nested more "
                f"than {MAX_DEPTH} deep, through {', '.join(trail[1:4])}… Shorten the chain."
            )
        if self._count > MOST_SUBSTITUTIONS:
            raise self._problem(f"it has more than {MOST_SUBSTITUTIONS} variables in all")
        return self.of(found, (*trail, variable))

    def _problem(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"The property {self._name} cannot be worked out: {why}. Write it out."
        )

    def _lookup(self, variable: str) -> str | None:
        if variable.startswith("env."):
            # The first of ':-' and '-' decides, as in Hadoop's own reader.
            name, dash, default = variable[4:].partition("-")
            if dash and name.endswith(":"):
                return self._environment.get(name[:-1]) or default
            return self._environment.get(name, default if dash else None)
        found = _java_property(variable, self._environment)
        return self._values.get(current_name(variable)) if found is None else found


def _java_property(variable: str, environment: Mapping[str, str]) -> str | None:
    """
    The few of the JVM's own properties that configurations refer to.

    Others are those that Hadoop's commands are told in variables, as `-Dname=value`. What site
    files of HDP name is set by its wrappers from a variable, too.
    """
    for options in _OPTIONS:
        found = _defined(variable, environment.get(options, ""))
        if found is not None:
            return found
    if variable == "user.name":
        return _user_name()
    if variable == "user.home":
        home = os.path.expanduser("~")
        return home if os.path.isabs(home) else None
    if variable == "java.io.tmpdir":
        return tempfile.gettempdir()
    if variable == "hdp.version":
        return environment.get("HDP_VERSION") or None
    return None


def _defined(variable: str, options: str) -> str | None:
    if f"-D{variable}=" not in options:
        return None
    try:
        words = shlex.split(options)
    except ValueError:
        words = options.split()
    given = [word for word in words if word.startswith(f"-D{variable}=")]
    # Of several Java takes the last one.
    return given[-1].partition("=")[2] if given else None


def _user_name() -> str | None:
    """Java's: the system's user, whoever the cluster is told that we are."""
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except ImportError:
        pass  # not on Windows
    except KeyError:
        return None  # a user ID without a name, as in many containers
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return None
