"""What a command as typed is called, and which files of this machine it is about."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence

import attrs
import click

_LONGEST_NAME = 60
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_PUNCTUATION = frozenset(";&|()\n")
_REDIRECTION = re.compile(r"\d*[<>]&[\d-]*|&>>?")  # its & separates nothing
# What may stand before the command that matters.
_BEFORE = frozenset(
    ("!", "{", "builtin", "command", "do", "else", "env", "exec", "if", "nice", "nohup", "then",
     "time", "until", "while")
)  # fmt: skip
# What prepares, or only repeats others: the part after it says more.
_PREPARATION = frozenset(
    (".", "}", "[", "[[", "case", "cd", "done", "elif", "esac", "export", "fi", "for", "function",
     "in", "mkdir", "select", "set", "source", "test", "trap", "ulimit", "umask", "unset", "wait")
)  # fmt: skip
_INTERPRETER = re.compile(
    r"(?:python|pypy|perl|ruby|node|julia|Rscript|bash|sh|dash|zsh|php|lua)[\d.]*|"
    r"\$\{?PYTHON_BIN\}?"
)
# Options of interpreters whose value is the next word.
_WITH_VALUE = frozenset(("-W", "-X", "-r", "--require"))
_DOCUMENTS = frozenset((".yaml", ".yml", ".json"))
_RUN_BY = {
    ".py": "python3",
    ".sh": "bash",
    ".bash": "bash",
    ".pl": "perl",
    ".rb": "ruby",
    ".js": "node",
    ".jl": "julia",
    ".R": "Rscript",
    ".r": "Rscript",
}


def name_of(command: str) -> str:
    """
    A name for people: the script or program that does the work.

    `python3 -u dir/train.py` is train.py, `python -m pkg.tool` is pkg.tool, and a loop is what
    it repeats. Nothing but that one word is taken: the rest may be secret, and names are public.
    """
    parts = list(_parts(command))
    for words in parts:
        found = _program(words)
        if found is not None:
            return found
    first = next((words[0] for words in parts if words), "")
    return _shortened(first) or "knit"


def _parts(command: str) -> Iterator[list[str]]:
    """The simple commands in a line for bash, each as its words; by and large."""
    lexer = shlex.shlex(_REDIRECTION.sub(" ", command), posix=True, punctuation_chars=";&|()\n")
    lexer.whitespace, lexer.whitespace_split = " \t\r", True
    lexer.commenters = ""
    words: list[str] = []
    try:
        for token in lexer:
            if token and set(token) <= _PUNCTUATION:
                yield words
                words = []
            else:
                words.append(token)
    except ValueError:  # an open quote: bash will say so
        words = words or command.split()
    yield words


def _program(words: Sequence[str]) -> str | None:
    rest = list(words)
    while rest and (rest[0] in _BEFORE or _ASSIGNMENT.fullmatch(rest[0])):
        del rest[0]
    if not rest or rest[0] in _PREPARATION:
        return None
    if _INTERPRETER.fullmatch(os.path.basename(rest[0])):
        script = _script(rest[1:])
        if script is not None:
            return _shortened(script)
    return _shortened(rest[0])


def _script(arguments: Sequence[str]) -> str | None:
    """What an interpreter runs, by its arguments: a file, or a module after -m."""
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "-m":
            return next(remaining, None)
        if argument in _WITH_VALUE:
            next(remaining, None)
        elif argument == "-c" or argument == "-e" or argument == "-":
            return None
        elif not argument.startswith("-"):
            return argument
    return None


def _shortened(word: str) -> str:
    name = " ".join(os.path.basename(word.rstrip("/")).split())
    name = "".join(c for c in name if c.isprintable())
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


@attrs.frozen
class Shipped:
    """A command as it is to run on a node, and what it takes along."""

    command: str
    files: list[str]
    """Paths here, each under its last part there."""
    notes: list[str]
    """What was done, and what is still to be done, in sentences."""


def ship(words: Sequence[str], given: Sequence[str], *, has_python: bool) -> Shipped:
    """
    Finds the program or script of a command that lies here and so is to be shipped.

    Only a program that no `PATH` would find, and the script of an interpreter: these cannot mean
    anything else. Of other arguments that are files here it says how to take them along.

    Args:
        words: The command as typed: one word is a line for bash, several are its arguments.
        given: The names of the files that are shipped already.
        has_python: Whether a Python environment is shipped, whose interpreter is $PYTHON_BIN.

    Raises:
        click.UsageError: The program is a file of YAML or JSON.
    """
    is_line = len(words) == 1
    tokens = _tokens(words[0]) if is_line else list(words)
    unchanged = words[0] if is_line else shlex.join(words)
    if not tokens:
        return Shipped(unchanged, [], [])
    notes: list[str] = []
    place = _place_of_program(tokens)
    if place is None or os.path.basename(tokens[place]) in given:
        notes += _left_here(tokens[1:], given)
        return Shipped(unchanged, [], notes)
    path = tokens[place]
    name = os.path.basename(path)
    before: list[str] = []
    if place == 0:
        python = '"$PYTHON_BIN"' if has_python else "python3"
        run_by = _RUN_BY.get(os.path.splitext(name)[1])
        before = [python if run_by == "python3" else run_by] if run_by else []
        if not before and not _has_first_line(path):
            if os.path.splitext(name)[1] in _DOCUMENTS:
                raise click.UsageError(
                    f"{path} is no program. To run the application that it describes: "
                    f"--spec {shlex.quote(path)}"
                )
            notes.append(
                f"{path} lies here, but says neither by its suffix nor in a first line #!… what "
                f"runs it: name that, and take the file along with --file {shlex.quote(path)}"
            )
            return Shipped(unchanged, [], notes)
    there = shlex.quote(name) if place or before else shlex.quote(f"./{name}")
    if is_line:
        command = _replaced(words[0], path, " ".join([*before, there]))
        if command is None:
            notes.append(
                f"{path} lies here and not on the nodes: add --file {shlex.quote(path)}, "
                f"and call it {name}"
            )
            return Shipped(unchanged, [], notes)
    else:
        quoted = [shlex.quote(token) for token in tokens]
        quoted[place : place + 1] = [*before, there]
        command = " ".join(quoted)
    how = f", to be run as `{' '.join([*before, there])}`" if before or not place else ""
    notes.append(f"taking {path} along{how}; other files: --file PATH")
    notes += _left_here(tokens[place + 1 :], [*given, name])
    return Shipped(command, [path], notes)


def _place_of_program(tokens: Sequence[str]) -> int | None:
    """Which word is a file here that is run; None if none is."""
    first = tokens[0]
    if _lies_here(first) and ("/" in first or shutil.which(first) is None):
        return 0
    if _INTERPRETER.fullmatch(os.path.basename(first)):
        script = _script(tokens[1:])
        if script is not None and _lies_here(script):
            return list(tokens).index(script, 1)
    return None


def _lies_here(word: str) -> bool:
    """Whether it is a file by a relative path; an absolute one may be the nodes' own."""
    try:
        return not os.path.isabs(word) and os.path.isfile(word)
    except ValueError:  # a null byte
        return False


def _left_here(tokens: Sequence[str], given: Sequence[str]) -> Iterator[str]:
    for token in tokens:
        # `--data=a.csv` as well as `a.csv`
        path = token.partition("=")[2] if token.startswith("-") else token
        if path and "/" not in path and path not in given and _lies_here(path):
            option = f"--file {shlex.quote(path)}"
            yield f"{path} lies here and not on the nodes: {option} takes it along"


def _tokens(line: str) -> list[str]:
    """The words of the first command in a line; its working directory is where files are."""
    return next(_parts(line))


def _replaced(line: str, path: str, by: str) -> str | None:
    """The line with one word replaced; None where it is not there once, unquoted."""
    matches = list(re.finditer(rf"(?<!\S){re.escape(path)}(?!\S)", line))
    if len(matches) != 1:
        return None
    [match] = matches
    return line[: match.start()] + by + line[match.end() :]


def _has_first_line(path: str) -> bool:
    """Whether the system can run it by itself: a script with `#!`, or a binary for Linux."""
    try:
        with open(path, "rb") as file:
            return file.read(4).startswith((b"#!", b"\x7fELF"))
    except OSError:
        return False


def misplaced(words: Sequence[str], options: Sequence[str]) -> str | None:
    """What to say of options of ours that stand behind the command, and so are the command's."""
    found = [w for w in words[1:] if w.partition("=")[0] in options]
    if not found:
        return None
    several = len(found) > 1
    return (
        f"{', '.join(found)} stand{'' if several else 's'} behind the command and so "
        f"{'are' if several else 'is'} passed on to {words[0]}: options of knit stand before it"
    )
