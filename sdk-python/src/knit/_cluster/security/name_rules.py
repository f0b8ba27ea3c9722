"""What is said of a principal that no rule of a cluster's makes a user of."""

from __future__ import annotations

import re

from knit.exceptions import KerberosError

RULES_PROPERTY = "hadoop.security.auth_to_local"

_NO_RULE = re.compile(
    r"No rules applied to (?P<principal>[^\s\"<&,;]+)|"
    r"Non-simple name (?P<name>\S+) after auth_to_local rule"
)


def rules_error(text: str, what: str, *, place: str) -> KerberosError | None:
    """
    The error for a daemon whose rules make no name of a principal that has proved itself.

    Args:
        text: What it says, in the words of Hadoop's KerberosName.
        what: What was tried, for messages.
        place: Who says so, for messages.

    Returns:
        None if it is about something else.
    """
    found = _NO_RULE.search(text)
    if found is None:
        return None
    if found["name"] is not None:
        return KerberosError(
            f"{what}: {place} knows by the ticket who we are, and its {RULES_PROPERTY} makes "
            f"{found['name']!r} of that, which is not a simple name. Have its administrators let "
            "the rule leave the realm out: s/@.*//."
        )
    return KerberosError(
        f"{what}: {place} knows by the ticket that we are {found['principal']}, and no rule of its "
        f"{RULES_PROPERTY} makes a user of that. {rule_for(found['principal'])}"
    )


def rule_for(principal: str) -> str:
    """
    What administrators do so that a principal becomes a user.

    People are of a realm as a whole. One of several parts is a daemon or a role: a rule for all of
    a realm's would make another cluster's `hdfs/host` this one's superuser.
    """
    name, _, realm = principal.rpartition("@")
    parts = name.split("/")
    at = re.escape(f"@{realm}").replace(r"\-", "-")
    if len(parts) == 1:
        rule = f"RULE:[1:$1@$0](.*{at})s/@.*//"
    else:
        written = "/".join(f"${number}" for number in range(1, len(parts) + 1))
        whole = re.escape(name).replace(r"\-", "-")
        rule = f"RULE:[{len(parts)}:{written}@$0]({whole}{at})s/.*/{parts[0]}/"
    return (
        f"Have the cluster's administrators add a rule, as {rule}, to the core-site.xml of the "
        "NameNode, the ResourceManager and all nodes, and restart them; or use a principal that "
        "is a user."
    )
