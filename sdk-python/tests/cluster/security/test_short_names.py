"""`hadoop.security.auth_to_local`, with the examples of Hadoop's own documentation and tests."""

from __future__ import annotations

import pytest

from knit._cluster.security.short_names import ShortNames
from knit.exceptions import ConfigurationError

# SecureMode, "Mapping from Kerberos principals to OS user accounts".
DOCUMENTED = r"""
  RULE:[2:$1/$2@$0]([ndj]n/.*@REALM.\TLD)s/.*/hdfs/
  RULE:[2:$1/$2@$0]([rn]m/.*@REALM\.TLD)s/.*/yarn/
  RULE:[2:$1/$2@$0](jhs/.*@REALM\.TLD)s/.*/mapred/
  DEFAULT
""".replace(r".\TLD", r"\.TLD")

# TestKerberosName of hadoop-auth.
TESTED = (
    "RULE:[1:$1@$0](.*@YAHOO\\.COM)s/@.*//\n"
    "RULE:[2:$1](johndoe)s/^.*$/guest/\n"
    "RULE:[2:$1;$2](^.*;admin$)s/;admin$//\n"
    "RULE:[2:$2](root)\n"
    "DEFAULT"
)


@pytest.mark.parametrize(
    ("rules", "realm", "principal", "name"),
    [
        (DOCUMENTED, "REALM.TLD", "nn/host.example@REALM.TLD", "hdfs"),
        (DOCUMENTED, "REALM.TLD", "jn/host.example@REALM.TLD", "hdfs"),
        (DOCUMENTED, "REALM.TLD", "rm/host.example@REALM.TLD", "yarn"),
        (DOCUMENTED, "REALM.TLD", "jhs/host.example@REALM.TLD", "mapred"),
        (DOCUMENTED, "REALM.TLD", "alice@REALM.TLD", "alice"),
        (TESTED, "APACHE.ORG", "omalley@APACHE.ORG", "omalley"),
        (TESTED, "APACHE.ORG", "hdfs/10.0.0.1@APACHE.ORG", "hdfs"),
        (TESTED, "APACHE.ORG", "oom@YAHOO.COM", "oom"),
        (TESTED, "APACHE.ORG", "johndoe/zoo@FOO.COM", "guest"),
        (TESTED, "APACHE.ORG", "joe/admin@FOO.COM", "joe"),
        (TESTED, "APACHE.ORG", "joe/root@FOO.COM", "root"),
        # testToLowerCase
        ("RULE:[1:$1]/L", "A", "Joe@FOO.COM", "joe"),
        ("RULE:[2:$1]/L", "A", "Joe/root@FOO.COM", "joe"),
        ("RULE:[2:$1;$2](^.*;admin$)s/;admin$///L", "A", "Joe/admin@FOO.COM", "joe"),
        ("RULE:[1:$1@$0](.*@FOO\\.COM)s/(.*)@.*/$1/L", "A", "JoE@FOO.COM", "joe"),
        ("DEFAULT", "A", "alice", "alice"),
        ("", "EXAMPLE.COM", "alice@EXAMPLE.COM", "alice"),
        ("RULE:[1:$1](a.*)s/a/b/g", "A", "aaa@A", "bbb"),
        ("RULE:[1:$1](a.*)s/a/b/", "A", "aaa@A", "baa"),
        ("RULE:[1:$1-x]", "A", "alice@A", "alice-x"),
    ],
)
def test_a_rule_makes_the_name_that_hadoop_makes(
    rules: str, realm: str, principal: str, name: str
) -> None:
    assert ShortNames(rules, realm=realm).of(principal) == name


@pytest.mark.parametrize(
    ("rules", "principal", "says"),
    [
        # testAntiPatterns
        (TESTED, "owen/owen/owen@FOO.COM", "is not a Kerberos principal"),
        (TESTED, "owen@foo/bar.com", "is not a Kerberos principal"),
        (TESTED, "foo@ACME.COM", r"No rule in hadoop\.security\.auth_to_local is for"),
        (TESTED, "root/joe@FOO.COM", "No rule"),
        ("RULE:[1:$1@$0](.*)", "alice@A", "not a simple name"),
        ("RULE:[1:$2]", "alice@A", r"a rule with \$2"),
    ],
)
def test_a_principal_that_no_rule_is_for_is_told(rules: str, principal: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        ShortNames(rules, realm="APACHE.ORG").of(principal)


def test_mit_takes_names_as_they_are() -> None:
    assert ShortNames(TESTED, realm="A", mechanism="mit").of("foo@ACME.COM") == "foo@ACME.COM"
    kept = ShortNames("RULE:[1:$1@$0](.*)", mechanism="mit")
    assert kept.of("alice@A") == "alice@A"


@pytest.mark.parametrize("rules", ["RULE:nonsense", "RULE:[1:$1](a[)", "DEFAULT and more"])
def test_a_rule_that_cannot_be_read_is_told(rules: str) -> None:
    with pytest.raises(ConfigurationError, match="a rule"):
        ShortNames(rules)
