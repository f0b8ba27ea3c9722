"""
The system's own library, without a KDC: what it refuses, and that nothing of it is left over.

With one it is held by the suite's clusters with Kerberos.
"""

from __future__ import annotations

import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from knit._cluster.security import gss_library
from knit._cluster.security.gssapi import (
    NO_CREDENTIALS,
    ContextFlag,
    Credentials,
    GssError,
    GssLibraryError,
    SecurityContext,
    library_path,
)
from knit._cluster.security.problems import kerberos_error
from knit._cluster.security.ticket_cache import Krb5Error, default_cache, default_realm
from knit.exceptions import KdcUnreachableError, KerberosError, KeytabError, TicketMissingError
from tests.cluster.security.test_keytabs import entry, write
from tests.fakes.server import closed_port

try:
    LIBRARY = library_path()
except GssLibraryError as none:
    pytest.skip(str(none), allow_module_level=True)

if "gssapi_krb5" not in LIBRARY:
    pytest.skip(f"{LIBRARY} is not MIT's, whose codes these are", allow_module_level=True)


@pytest.fixture(autouse=True)
def realm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A realm whose KDC is down, and an empty cache."""
    conf = tmp_path / "krb5.conf"
    conf.write_text(
        "[libdefaults]\n default_realm = EXAMPLE.COM\n dns_lookup_kdc = false\n"
        " udp_preference_limit = 1\n dns_canonicalize_hostname = false\n"
        f"[realms]\n EXAMPLE.COM = {{\n  kdc = localhost:{closed_port()}\n }}\n"
    )
    monkeypatch.setenv("KRB5_CONFIG", str(conf))
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path / 'cache'}")
    monkeypatch.delenv("KRB5_CLIENT_KTNAME", raising=False)
    return conf


def refusal(credentials: Credentials) -> GssError:
    with pytest.raises(GssError) as caught:
        _ = credentials.principal
    return caught.value


def test_the_librarys_file_is_named() -> None:
    assert os.path.isabs(LIBRARY)
    assert Path(LIBRARY).is_file()


def test_without_a_ticket_nothing_begins() -> None:
    for mechanism in ("spnego", "krb5"):
        context = SecurityContext("HTTP@localhost", mechanism=mechanism)
        with context, pytest.raises(GssError) as caught:
            context.step()
        assert caught.value.major == NO_CREDENTIALS
        assert "No Kerberos credentials available" in caught.value.text
        assert not context.is_complete
        assert context.granted == ContextFlag(0)
    assert type(kerberos_error(caught.value, "Asking")) is TicketMissingError


def test_a_keytab_asks_the_kdc_and_leaves_the_environment_alone(tmp_path: Path) -> None:
    before = dict(os.environ)
    path = write(tmp_path / "k", entry("alice@EXAMPLE.COM", 1))
    credentials = Credentials.of_keytab(path)
    error = kerberos_error(refusal(credentials), "Asking", keytab=str(path))
    assert type(error) is KdcUnreachableError
    assert dict(os.environ) == before
    assert not (tmp_path / "cache").exists()
    assert credentials.keytab == str(path)


def test_a_keytab_that_is_none_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "none")
    assert type(kerberos_error(refusal(Credentials.of_keytab(path)), "A", keytab=path)) is (
        KeytabError
    )


def test_the_environment_is_read_anew_for_each_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    credentials = Credentials.default()
    assert "cache" in refusal(credentials).text
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path / 'other'}")
    assert str(tmp_path / "other") in refusal(credentials).text


def test_a_cache_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"hello")
    assert refusal(Credentials.default()).major == NO_CREDENTIALS
    report = default_cache()
    assert report is not None
    assert report.name == f"FILE:{tmp_path / 'cache'}"
    assert report.kind == "FILE"
    assert report.principal is None
    assert report.problem is not None
    assert "ormat" in report.problem, "the library's own words"
    (tmp_path / "cache").unlink()
    report = default_cache()
    assert report is not None
    assert str(tmp_path / "cache") in (report.problem or "")


def test_a_krb5_conf_that_cannot_be_read_is_told(realm: Path) -> None:
    assert default_realm() == "EXAMPLE.COM"
    realm.write_text("[libdefaults]\n default_realm = {\n x\n")
    error = kerberos_error(refusal(Credentials.default()), "Asking")
    assert type(error) is KerberosError
    assert f"{realm} cannot be used" in error.message
    for ask in (default_realm, default_cache):
        with pytest.raises(Krb5Error, match=r"krb5\.conf|mproper format"):
            ask()


def test_names_that_are_none_are_refused() -> None:
    for target in ("", "HTTP@"):
        with pytest.raises(GssError), SecurityContext(target) as context:
            context.step()
    with pytest.raises(GssError):
        _ = Credentials.default("a@b@c@d").principal


def test_a_context_that_never_began_wraps_nothing() -> None:
    with SecurityContext("HTTP@localhost") as context:
        with pytest.raises(GssError):
            context.wrap(b"x", confidential=False)
        with pytest.raises(GssError):
            context.unwrap(b"x")
        context.close()
        context.close()


def test_credentials_cross_processes_as_a_description() -> None:
    credentials = Credentials.of_keytab("/etc/a.keytab", "alice@EXAMPLE.COM")
    copy = pickle.loads(pickle.dumps(credentials))
    assert (copy.keytab, repr(copy)) == ("/etc/a.keytab", repr(credentials))


def test_threads_share_the_library() -> None:
    def ask(_: int) -> int:
        with pytest.raises(GssError) as caught, SecurityContext("HTTP@localhost") as context:
            context.step()
        return caught.value.major

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(200))) == {NO_CREDENTIALS}


def test_nothing_is_left_in_memory() -> None:
    """Two thousand failures take no more than a few pages of it."""

    def resident_kib() -> int:
        return (
            int(Path("/proc/self/statm").read_text().split()[1])
            * os.sysconf("SC_PAGE_SIZE")
            // 1024
        )

    if not Path("/proc/self/statm").exists():
        pytest.skip("/proc is Linux's")
    for _ in range(300):
        refusal(Credentials.default())
    before = resident_kib()
    for _ in range(2000):
        refusal(Credentials.default())
    assert resident_kib() - before < 4096
    for _ in range(100):
        default_cache()
    before = resident_kib()
    for _ in range(1000):
        default_cache()
        default_realm()
    assert resident_kib() - before < 1024


def test_without_any_library_each_use_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    gss_library.loaded_library.cache_clear()
    monkeypatch.setattr(gss_library, "_candidates", lambda: iter(["libnone.so.7"]))
    try:
        with pytest.raises(GssLibraryError, match=r"libnone\.so\.7"):
            library_path()
        with pytest.raises(GssLibraryError):
            _ = Credentials.default().principal
    finally:
        gss_library.loaded_library.cache_clear()
