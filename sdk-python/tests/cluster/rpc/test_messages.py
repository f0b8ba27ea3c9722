"""Messages, frames, and DIGEST-MD5 by its own examples."""

from __future__ import annotations

import hashlib
import hmac
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from hypothesis import given
from hypothesis import strategies as st

from knit._cluster.hdfs import rpc_messages as hdfs
from knit._cluster.rpc import wire
from knit._cluster.rpc.digest_md5 import DigestMd5, layer_of
from knit._cluster.rpc.protection import Protection, SaslRefusedError
from knit._cluster.rpc.sasl import Identity, _choose
from knit._cluster.rpc.schema import Schema
from knit._cluster.yarn import rpc_messages as yarn
from tests.fakes.kerberos import FakeTickets

SCHEMAS = [wire.MESSAGES, hdfs.MESSAGES, yarn.MESSAGES]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema._name)
def test_the_schema_is_what_protoc_makes_of_it(schema: Schema, tmp_path: Path) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc")
    package = f"knit.internal.{schema._name}"
    text = f'syntax = "proto2"; package {package}; {schema._text}'
    (tmp_path / "x.proto").write_text(text)
    out = tmp_path / "x.bin"
    arguments = ["protoc", f"-I{tmp_path}", f"--descriptor_set_out={out}", "x.proto"]
    assert protoc.main(arguments) == 0
    [made] = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    assert {message.name for message in made.message_type} == schema._classes.keys()
    for message in made.message_type:
        ours = descriptor_pb2.DescriptorProto()
        schema._classes[message.name].DESCRIPTOR.CopyToProto(ours)
        for field in (*message.field, *ours.field):
            field.ClearField("json_name")
        assert ours == message


def test_none_of_it_is_in_the_pool_that_others_share() -> None:
    for schema in SCHEMAS:
        assert schema._classes
    pool = descriptor_pool.Default()
    for name in ("knit.internal.rpc.Sasl", "hadoop.common.RpcSaslProto"):
        with pytest.raises(KeyError):
            pool.FindMessageTypeByName(name)


def test_protobuf_is_not_imported_before_it_is_needed() -> None:
    import subprocess

    program = "import sys, knit._cluster.cluster; sys.exit('google.protobuf' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_a_frame_holds_its_messages(parts: list[bytes]) -> None:
    messages = [wire.MESSAGES.new("Sasl", state=wire.WRAP, token=part) for part in parts]
    frame = wire.frame(*messages)
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    found = [wire.MESSAGES.read("Sasl", part).token for part in wire.delimited(frame[4:])]
    assert found == parts


@pytest.mark.parametrize("data", [b"\x05abc", b"\xff", b"\xff\xff\xff\xff\xff\xff"])
def test_a_length_that_lies_is_told(data: bytes) -> None:
    with pytest.raises(wire.MalformedError):
        wire.delimited(data)


CHALLENGE = (
    b'realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",qop="auth",algorithm=md5-sess,'
    b"charset=utf-8"
)
EXPECTED = re.compile(rb"\bresponse=d388dad90d4bbd760a152321f2143af7\b")


def example(*protections: Protection) -> DigestMd5:
    return DigestMd5(
        "chris",
        "secret",
        protections or (Protection.AUTHENTICATION,),
        protocol="imap",
        server_id="elwood.innosoft.com",
        client_nonce="OA6MHXh6VqTrRk",
    )


def test_the_example_of_the_rfc() -> None:
    """RFC 2831, section 4."""
    talk = example()
    assert EXPECTED.search(talk.respond(CHALLENGE))
    assert not talk.is_complete
    assert talk.respond(b"rspauth=ea40f60335c427b5527b84dbabcdfffd") == b""
    assert talk.is_complete
    assert talk.layer is None


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"rspauth=ea40f60335c427b5527b84dbabcdfffe", "does not know the token's secret"),
        (b"", "does not know the token's secret"),
        (
            "rspauth=ea40f60335c427b5527b84dbabcdfff\N{LATIN SMALL LETTER E WITH ACUTE}".encode(),
            "secret",
        ),
        (b"rspauth=\xff", "does not know the token's secret"),
        (b'"', "cannot be read"),
    ],
)
def test_a_server_that_does_not_know_the_secret_is_not_believed(said: bytes, words: str) -> None:
    talk = example()
    talk.respond(CHALLENGE)
    with pytest.raises(SaslRefusedError, match=words):
        talk.respond(said)
    assert not talk.is_complete


@pytest.mark.parametrize(
    "size", [b"many", b"-1", b"9" * 5000, "\N{ARABIC-INDIC DIGIT FIVE}".encode()]
)
def test_how_much_a_server_takes_is_a_number(size: bytes) -> None:
    offered = CHALLENGE.replace(b'"auth"', b'"auth-int"') + b",maxbuf=" + size
    with pytest.raises(SaslRefusedError, match="how much it takes at a time"):
        example(Protection.INTEGRITY).respond(offered)


@pytest.mark.parametrize("cipher", [None, "rc4", "3des"])
def test_what_is_wrapped_is_no_longer_than_the_server_takes(cipher: str | None) -> None:
    """And no shorter than it has to be."""
    qop, wanted = (
        ("auth-int", Protection.INTEGRITY) if cipher is None else ("auth-conf", Protection.PRIVACY)
    )
    offered = (
        CHALLENGE.replace(b'"auth"', f'"{qop}"'.encode()) + f",maxbuf=4096,cipher={cipher}".encode()
    )
    talk = example(wanted)
    talk.respond(offered)
    assert talk.layer is not None
    size = talk.layer.largest_bytes
    assert 4000 < len(talk.layer.wrap(bytes(size))) <= 4096


def test_a_server_that_takes_next_to_nothing_is_told_something_at_a_time() -> None:
    talk = example(Protection.INTEGRITY)
    talk.respond(CHALLENGE.replace(b'"auth"', b'"auth-int"') + b",maxbuf=1")
    assert talk.layer is not None
    assert talk.layer.largest_bytes == 1


def test_a_weak_cipher_is_not_taken() -> None:
    offered = CHALLENGE.replace(b'"auth"', b'"auth-conf"') + b',cipher="des,rc4-40"'
    with pytest.raises(SaslRefusedError, match="des, rc4-40, of which none is rc4 or 3des"):
        example(Protection.PRIVACY).respond(offered)


def test_the_first_protection_that_both_want_is_taken() -> None:
    offered = CHALLENGE.replace(b'"auth"', b'"auth,auth-int"')
    wanted = (Protection.PRIVACY, Protection.INTEGRITY, Protection.AUTHENTICATION)
    assert b"qop=auth-int" in example(*wanted).respond(offered)


@pytest.mark.parametrize("cipher", [None, "rc4", "3des"])
class TestLayers:
    def test_both_ends_understand_each_other(self, cipher: str | None) -> None:
        one, other = (layer_of(b"k" * 16, cipher, 100, side) for side in ("client", "server"))
        for number in range(30):
            data = bytes(range(number))
            assert other.unwrap(one.wrap(data)) == data
            assert one.unwrap(other.wrap(data)) == data
        if cipher is not None:
            assert b"attack at dawn" not in one.wrap(b"attack at dawn")

    def test_what_was_changed_repeated_or_left_out_is_not_taken(self, cipher: str | None) -> None:
        def ends() -> tuple[Any, Any]:
            return tuple(layer_of(b"k" * 16, cipher, 100, s) for s in ("client", "server"))  # type: ignore[return-value]

        one, other = ends()
        sealed = bytearray(one.wrap(b"pay 10 to alice."))
        sealed[5] ^= 1
        with pytest.raises(SaslRefusedError, match="changed on its way"):
            other.unwrap(bytes(sealed))
        one, other = ends()
        first, second = one.wrap(b"first"), one.wrap(b"second")
        with pytest.raises(SaslRefusedError):
            other.unwrap(second)
        one, other = ends()
        first = one.wrap(b"first")
        assert other.unwrap(first) == b"first"
        with pytest.raises(SaslRefusedError):
            other.unwrap(first)
        with pytest.raises(SaslRefusedError):
            other.unwrap(b"")


@pytest.mark.parametrize(
    ("methods", "is_in_vain"), [(("TOKEN", "SIMPLE"), True), (("KERBEROS",), False)]
)
def test_kerberos_in_vain_is_told_with_the_property(
    methods: tuple[str, ...], *, is_in_vain: bool
) -> None:
    """A configuration with Kerberos, for a cluster without; not for one that has it."""
    auths = [SimpleNamespace(method=method, mechanism="") for method in methods]
    with pytest.raises(SaslRefusedError, match="and we have Kerberos") as refused:
        _choose(auths, Identity(tickets=FakeTickets()), (), None, "10.0.0.1", "Asking")
    told = "hadoop.security.authentication be simple" in refused.value.sentence
    assert told is is_in_vain


_IN_FIPS_MODE = """
import hashlib

real = hashlib.md5

def md5(data=b"", *, usedforsecurity=True):
    if usedforsecurity:
        raise ValueError("[digital envelope routines] unsupported")
    return real(data, usedforsecurity=False)

hashlib.md5 = md5
from knit._cluster.rpc.digest_md5 import layer_of

one, other = (layer_of(b"k" * 16, None, 100, peer) for peer in ("client", "server"))
assert other.unwrap(one.wrap(b"hello")) == b"hello"
"""


def test_tokens_serve_where_openssl_is_in_fips_mode() -> None:
    """There MD5 is to be had only for what is not called security; Hadoop has nothing else."""
    subprocess.run([sys.executable, "-c", _IN_FIPS_MODE], check=True)


def test_what_is_wrapped_looks_as_the_rfc_has_it() -> None:
    """RFC 2831, section 2.3: the message, ten bytes of its HMAC, the version, its number."""
    one = layer_of(b"k" * 16, None, 100, "client")
    magic = b"Digest session key to client-to-server signing key magic constant"
    key = hashlib.md5(b"k" * 16 + magic).digest()
    for number in (b"\0\0\0\0", b"\0\0\0\x01"):
        mac = hmac.new(key, number + b"hello", hashlib.md5).digest()[:10]
        assert one.wrap(b"hello") == b"hello" + mac + b"\0\x01" + number


@pytest.mark.parametrize(("cipher", "size"), [("rc4", 5 + 10 + 6), ("3des", 16 + 6)])
def test_only_a_cipher_of_blocks_pads(cipher: str, size: int) -> None:
    """To a whole number of them, message and MAC together."""
    assert len(layer_of(b"k" * 16, cipher, 100, "client").wrap(b"hello")) == size
