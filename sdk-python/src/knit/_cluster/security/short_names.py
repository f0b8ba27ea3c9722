"""
The short name of a principal, by `hadoop.security.auth_to_local`, as Hadoop makes it.

For where nobody can be asked: the cluster's own answer is better, for its rules may be others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from knit._cluster.security.name_rules import RULES_PROPERTY, rule_for
from knit.exceptions import ConfigurationError

#: As KerberosName has it: what stands between the parts is not read, and not an error.
_RULE = re.compile(
    r"\s*((DEFAULT)|(RULE:\[(\d*):([^\]]*)](\(([^)]*)\))?(s/([^/]*)/([^/]*)/(g)?)?))/?(L)?"
)
_PARAMETER = re.compile(r"([^$]*)(\$(\d*))?")
_NON_SIMPLE = re.compile(r"[/@]")
_PRINCIPAL = re.compile(r"([^/@]+)(?:/([^/@]+))?(?:@([^/@]+))?")
_JAVA_GROUP = re.compile(r"\\(.)|\$(\d)")


@attrs.frozen
class _Rule:
    parts: int | None
    """How many parts the principal has to have; None for DEFAULT."""
    text: str = ""
    match: str | None = None
    old: str | None = None
    new: str = ""
    everywhere: bool = False
    lower: bool = False


@attrs.frozen
class ShortNames:
    """
    Rules that make short names of principals.

    Args:
        rules: The value of `hadoop.security.auth_to_local`.
        realm: The default realm, whose principals DEFAULT takes.
        mechanism: `hadoop` refuses names that still have a `/` or `@`, and principals that no rule
            is for; `mit` takes them as they are. `hadoop.security.auth_to_local.mechanism`.

    Raises:
        ConfigurationError: A rule is malformed.
    """

    rules: str = "DEFAULT"
    realm: str | None = None
    mechanism: str = "hadoop"
    _parsed: tuple[_Rule, ...] = attrs.field(init=False, repr=False)

    @_parsed.default
    def _parse(self) -> tuple[_Rule, ...]:
        return tuple(_rules(self.rules.strip() or "DEFAULT"))

    def of(self, principal: str) -> str:
        """
        The short name: `alice` for `alice@EXAMPLE.COM`.

        Raises:
            ConfigurationError: No rule makes one, or what one makes is no simple name.
        """
        found = _PRINCIPAL.fullmatch(principal)
        if found is None:
            if "@" in principal:
                raise ConfigurationError(f"{principal!r} is not a Kerberos principal.")
            return principal
        service, host, realm = found.groups()
        if host is None and realm is None:
            return str(service)
        values = [realm, service, *([host] if host is not None else [])]
        for rule in self._parsed:
            name = self._apply(rule, values)
            if name is not None:
                if self.mechanism != "mit" and _NON_SIMPLE.search(name):
                    raise ConfigurationError(
                        f"{RULES_PROPERTY} makes {name!r} of {principal}, which is not a simple "
                        "name. Have the rule leave the realm out: s/@.*//."
                    )
                return name
        if self.mechanism == "mit":
            return principal
        raise ConfigurationError(
            f"No rule in {RULES_PROPERTY} is for {principal} (default realm "
            f"{self.realm or 'unknown'}). Use the cluster's own core-site.xml. If that is it: "
            f"{rule_for(principal)}"
        )

    def _apply(self, rule: _Rule, values: list[str | None]) -> str | None:
        if rule.parts is None:
            # Hadoop's DEFAULT is not the one of krb5: `hdfs/host` becomes `hdfs`.
            name = str(values[1]) if values[0] == self.realm else None
        elif len(values) - 1 != rule.parts:
            return None
        else:
            base = _filled(rule.text, values)
            if rule.match is not None and re.fullmatch(rule.match, base) is None:
                return None
            name = base
            if rule.old is not None:
                count = 0 if rule.everywhere else 1
                name = re.sub(rule.old, lambda found: _replaced(rule.new, found), base, count=count)
        return name.lower() if name is not None and rule.lower else name


def _rules(text: str) -> Iterator[_Rule]:
    rest = text
    while rest:
        found = _RULE.match(rest)
        if found is None:
            raise ConfigurationError(
                f"{RULES_PROPERTY} has a rule that cannot be read: {rest[:80]!r}. They are "
                "DEFAULT or RULE:[n:string](regexp)s/pattern/replacement/g."
            )
        lower = found.group(12) == "L"
        if found.group(2):
            yield _Rule(None, lower=lower)
        else:
            try:
                for pattern in (found.group(7), found.group(9)):
                    re.compile(pattern or "")
            except re.error as error:
                raise ConfigurationError(
                    f"{RULES_PROPERTY} has a rule whose pattern cannot be read ({error}): "
                    f"{found.group(1)}"
                ) from error
            yield _Rule(
                parts=int(found.group(4) or 0),
                text=found.group(5),
                match=found.group(7),
                old=found.group(9),
                new=found.group(10) or "",
                everywhere=found.group(11) == "g",
                lower=lower,
            )
        rest = rest[found.end() :].strip()


def _filled(text: str, values: list[str | None]) -> str:
    """`$0` is the realm, `$1` the first part."""

    def value(found: re.Match[str]) -> str:
        if found.group(2) is None:
            return found.group(1)
        number = int(found.group(3) or -1)
        if not 0 <= number < len(values):
            raise ConfigurationError(
                f"{RULES_PROPERTY} has a rule with ${found.group(3)}, which the principal has not: "
                f"{text}"
            )
        return found.group(1) + (values[number] or "")

    return "".join(value(found) for found in _PARAMETER.finditer(text))


def _replaced(replacement: str, found: re.Match[str]) -> str:
    """As Java's `Matcher` reads a replacement: `$1` is a group, `\\` takes the next as it is."""

    def part(one: re.Match[str]) -> str:
        return one.group(1) if one.group(1) is not None else found.group(int(one.group(2))) or ""

    return _JAVA_GROUP.sub(part, replacement)
