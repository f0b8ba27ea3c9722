"""
Tiny programs that containers run: this one file is shipped to them, and imported by the tests.

    python3 programs.py VERB ARGUMENTS

It needs nothing but Python's standard library. What a program writes is a function of its arguments
and its place, so that a test can compute what it expects.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

GATE_VARIABLE = "KNIT_TEST_GATE"
"""Where a program finds the URL that answers 200 once it may go on, and 404 before."""

EXTRA_FILE = "extra.log"
"""The file that `lines` writes in the log directory beside stdout and stderr."""

SIGNALLED_VARIABLE = "KNIT_TEST_SIGNALLED"
"""Where a program finds the URL that it is to PUT once it has signalled the Application Master."""

KILOBYTE_PER_LINE = 1024

_YARNS_OWN = ("container_tokens", "default_container_executor", "launch_container.sh")


# What is written: computed alike in the container and in the test.


def line(place: str, file: str, number: int) -> bytes:
    """One line of a log: no two of an application are the same, and not all of it is ASCII."""
    mark = "é✓" if number % 97 == 0 else ".."
    return f"{place} {file} {number:07d} {mark} {number * 7919}\n".encode()


def lines(place: str, file: str, count: int) -> Iterator[bytes]:
    """What the program `lines` writes to stdout; a tenth as many lines go to its other files."""
    return (line(place, file, number) for number in range(count))


def bulk(mib: int) -> Iterator[bytes]:
    """A large log in pieces of one MiB, each of 1024 lines."""
    filler = "".join(chr(33 + index % 90) for index in range(KILOBYTE_PER_LINE - 17))
    for piece in range(mib):
        yield "".join(
            f"{piece:07d} {row:07d} {filler}\n" for row in range(1024 * 1024 // KILOBYTE_PER_LINE)
        ).encode()


def many_file(place: str, number: int, size: int) -> bytes:
    """One of many log files."""
    line = f"{place} {number} ".encode()
    return (line * (size // len(line) + 1))[:size]


def every_byte() -> bytes:
    """Bytes that are no text: each value, null included, in all neighbourhoods of interest."""
    each = bytes(range(256))
    odd = b"\r\n\r\x00\xff\xfe\xf0\x9f\x8e"
    return each * 64 + each[::-1] * 64 + odd * 100 + b"no newline at the end"


def digest(pieces: Iterator[bytes]) -> tuple[int, str]:
    """Length and SHA-256 of all of it."""
    length, sha = 0, hashlib.sha256()
    for piece in pieces:
        length += len(piece)
        sha.update(piece)
    return length, sha.hexdigest()


# The programs.


def place() -> str:
    return f"{os.environ['KNIT_SERVICE_NAME']}/{os.environ['KNIT_RANK']}"


def run_wait(then: str = "") -> None:
    """Say so, wait until the gate is open, and say so again."""
    print(f"{place()} waits", flush=True)
    wait_for_gate()
    print(f"{place()} goes on {then}".rstrip(), flush=True)


def wait_for_gate() -> None:
    url = os.environ[GATE_VARIABLE]
    while url.startswith("/"):
        if os.path.exists(url):
            return
        time.sleep(0.25)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with opener.open(url, timeout=10):
                return
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
        except OSError as error:
            print(f"the gate does not answer: {error}", file=sys.stderr, flush=True)
        time.sleep(0.25)


def open_gate(opener: str) -> None:
    """By a URL of HDFS, or by a file on this machine."""
    if opener.startswith("/"):
        Path(opener).touch()
        return
    request = urllib.request.Request(opener, method="PUT")
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).close()


def run_lines(count: str, seconds: str = "0") -> None:
    """Write lines to stdout, and a tenth as many each to stderr and to a file of its own."""
    total, steps = int(count), 50
    extra = Path(os.environ["LOG_DIRS"].split(",")[0], EXTRA_FILE)
    with extra.open("wb", buffering=0) as file:
        outputs = {
            "stdout": (1, total),
            "stderr": (2, total // 10),
            EXTRA_FILE: (file.fileno(), total // 10),
        }
        for step in range(steps):
            for name, (descriptor, length) in outputs.items():
                numbers = range(length * step // steps, length * (step + 1) // steps)
                write(descriptor, b"".join(line(place(), name, number) for number in numbers))
            time.sleep(float(seconds) / steps)


def run_many_files(count: str, size: str) -> None:
    """Write so many log files of so many bytes, and wait for the gate."""
    directory = Path(os.environ["LOG_DIRS"].split(",")[0])
    for number in range(int(count)):
        (directory / f"many-{number}.log").write_bytes(many_file(place(), number, int(size)))
    print("written", flush=True)
    run_wait()


def run_bulk(mib: str) -> None:
    for piece in bulk(int(mib)):
        write(1, piece)


def run_every_byte() -> None:
    write(1, every_byte())


def write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def run_flaky(succeeds_at: str) -> None:
    """Fail until the attempt of this number."""
    attempt = int(os.environ["KNIT_ATTEMPT_NUMBER"])
    print(f"{place()} attempt {attempt}", flush=True)
    if attempt < int(succeeds_at):
        print(f"not before attempt {succeeds_at}", file=sys.stderr)
        sys.exit(1)


def run_hog(mib: str) -> None:
    """Use more and more memory, and then wait for the end."""
    held = []
    for _ in range(int(mib)):
        held.append(os.urandom(1024 * 1024))
        time.sleep(0.002)
    print(f"still alive with {len(held)} MiB", flush=True)
    time.sleep(600)


def run_tree() -> None:
    """List the files of the working directory, as JSON: path to length and SHA-256."""
    found = {}
    for directory, _, names in os.walk(".", followlinks=True):
        for name in names:
            if not name.lstrip(".").startswith(_YARNS_OWN):
                path = Path(directory, name)
                found[str(path.relative_to("."))] = digest(pieces(path))
    print(json.dumps(found), flush=True)


def pieces(path: Path) -> Iterator[bytes]:
    """A file's bytes."""
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            yield piece


def run_leaks() -> None:
    """Show what a container can see of its own and its neighbours: environments and commands."""
    for process in Path("/proc").iterdir():
        try:
            environment = (process / "environ").read_bytes()
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"\0CONTAINER_ID=" in b"\0" + environment:
            shown = (environment + b"\0$ " + command).replace(b"\0", b"\n")
            write(1, f"\nprocess {process.name}\n".encode() + shown)
    tokens = os.environ.get("HADOOP_TOKEN_FILE_LOCATION", "container_tokens")
    for path in (Path(tokens), Path("launch_container.sh")):
        if path.exists():
            write(1, f"\n{path.name}: ".encode() + path.read_bytes())
    print(f"\n{place()} has shown everything", flush=True)
    wait_for_gate()


def run_knock(address: str) -> None:
    """Say whether this container's own Application Master answers it, and whether another does."""
    own = Path(os.environ["KNIT_CREDENTIALS"], "address").read_text(encoding="ascii").strip()
    print(f"own {_answers(own)}, other {_answers(address)}", flush=True)
    wait_for_gate()


def _answers(address: str) -> bool:
    """Whether it sends a byte of HTTP/2 to who shows what this container has."""
    credentials = os.environ["KNIT_CREDENTIALS"]
    context = ssl.create_default_context()
    # It is theirs to look at ours.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(f"{credentials}/cert.pem", f"{credentials}/key.pem")
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        try:
            with context.wrap_socket(connection) as encrypted:
                encrypted.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
                return bool(encrypted.recv(1024))
        except (ssl.SSLError, ConnectionError):
            return False


def run_signal_application_master(name: str) -> None:
    """
    Send this application's Application Master a signal, if it runs on this node.

    KILL ends it as a crash would, STOP lets it hang. Where there is a gate, not before it is open.
    """
    if GATE_VARIABLE in os.environ:
        run_wait()
    number = signal.Signals[f"SIG{name}"]
    own = f"_{os.environ['KNIT_APPLICATION_ID'].partition('_')[2]}_".encode()
    for process in Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            environment = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        container = next((each for each in environment if each.startswith(b"CONTAINER_ID=")), b"")
        if b"knit.am.MainKt" in command and command[0].endswith(b"java") and own in container:
            print(f"{number.name} to {process.name}", flush=True)
            os.kill(int(process.name), number)
            if SIGNALLED_VARIABLE in os.environ:
                open_gate(os.environ[SIGNALLED_VARIABLE])
    time.sleep(600)


PROGRAMS: dict[str, Callable[..., None]] = {
    "wait": run_wait,
    "lines": run_lines,
    "many-files": run_many_files,
    "bulk": run_bulk,
    "every-byte": run_every_byte,
    "flaky": run_flaky,
    "hog": run_hog,
    "tree": run_tree,
    "leaks": run_leaks,
    "knock": run_knock,
    "signal-application-master": run_signal_application_master,
}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](*sys.argv[2:])
