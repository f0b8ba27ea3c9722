"""A command means in a container exactly what it means when typed at home, whatever it holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import knit
import pytest
from knit import FailurePolicy, FinalStatus

from integration.applications import SMALL, Applications, Ending

GREETING = 'it\'s $HOME & "more"'

COMMANDS = {
    "plain": "echo hello",
    "single-quotes": "echo 'single $HOME `date` \\ \"double\"'",
    "double-quotes": 'echo "double $GREETING \'single\' \\$HOME \\\\ \\""',
    "nested-quotes": """bash -c 'bash -c "echo \\"deep '"'"'er'"'"'\\""'""",
    "variable": "echo $GREETING; echo ${GREETING#it}; echo ${#GREETING}; echo ${UNSET:-none}",
    "set-by-itself": 'A=1; B="$A$A"; echo $A$B; for i in 1 2 3; do echo "$i $A"; done',
    "substitution": 'echo $(echo inner $(echo "inmost $GREETING")); echo $((6 * 7))',
    "backquotes": "echo `echo inner \\`echo inmost\\``",
    "backslashes": r"printf '%s\n' \\ '\' '\\' \\\\ a\ b '\n' \$HOME \"",
    "newlines": "echo one\necho two\n\n\necho three",
    "trailing-newline": "echo one\n",
    "leading-newlines": "\n\n  echo one",
    "continued-lines": "echo one \\\n  two \\\n  three",
    "trailing-continuation": "echo one \\\n",
    "trailing-backslash": "echo one \\",
    "tabs": "printf '%s|'\t'a\tb'\t\"c\td\"",
    "carriage-returns": "printf '%s' 'a\rb\r\nc' | od -c",
    "non-ascii": "echo 'Grüße, Ωmega, 日本語, العربية' \U0001f9f6 e\u0301; x=😀; echo ${#x}",
    "yarn-variables": "echo '{{PWD}}' {{HOME}} {{CLASSPATH}} '<LOG_DIR>' \"<CPS>\" '<LOG_DIR>/x'",
    "percents": "echo 100% %PATH% %s %d; printf '%s%%\\n' 5",
    "exclamations": "echo hey! !! '!x' \"!\"",
    "globs": "touch a1 a2; echo a* '*' \"a*\" {x,y}z a?; echo ~nobody-of-that-name",
    "lists": "true && echo and; false || echo or; (echo sub; exit 3); echo $?; ! false; echo $?",
    "pipes": "printf 'b\\na\\n' | sort | tr a-z A-Z",
    "redirections": "echo to-stderr >&2; echo x > f; cat < f; cat 2>&1 no-such-file | head -c 4",
    "heredoc": "cat <<EOF\nHello $GREETING\n`echo \\\\`\n\tEOF \nEOF\necho after",
    "quoted-heredoc": "cat <<'E O F'\n$HOME `x` \\ {{PWD}} <LOG_DIR>\nE O F\necho after",
    "here-string": 'cat <<<"here $GREETING"; cat <<<$GREETING',
    "comments": "echo a # 'b\n# $(c\necho d#e",
    "functions": 'f() { local x="$1"; echo "[$x]" "$#"; }; f "a b" c',
    "cases": "case x in y) echo no;; x) echo yes;; esac; [[ a == a* ]] && echo matched",
    "arrays": 'a=(one "two three" \'$four\'); echo "${#a[@]}"; printf "<%s>" "${a[@]}"',
    "ansi-c-quotes": "echo $'\\x41\\t\\'|' $\"translated\"",
    "arguments": 'echo "$#" "$0" "[$1]"; set -- x "y z"; echo "$#" "$2"',
    "hash-and-semicolons": ": ; : ; echo ';' \";\" \\;",
    "background": "(sleep 0.1; echo late) & wait; echo done",
    "traps": "trap 'echo bye $?' EXIT; echo hi; exit 5",
    "exec": "exec printf '%s\\n' \"exec'd\" '$0'",
    "python": "python3 -c 'import sys; print(sys.argv[1:], \"\\\\n\")' \"a'b\" '$c' '{{d}}'",
    "equals-and-carets": "A=b=c; echo $A ^ ~ @ + = , : / ? [x] '{' '}' '&' '|'",
    "xml-and-json": "echo '<a href=\"x\">&amp;</a>' '{\"a\": [1, \"$b\"]}' ']]>'",
    "no-output": ":",
    "syntax-error": "echo 'never ended",
    "control-characters": "printf %s '\x01\x02\x1b[0m\x7f' | od -c",
    "long": "printf %s '" + "0123456789abcde " * (60 * 64) + "' | cksum",
    "long-of-quotes": "x=" + "''" * (30 * 1024) + '; echo "[$x]"',
    "long-of-backslashes": "printf %s '" + '\\$`"' * (15 * 1024) + "' | cksum",
    "long-of-non-ascii": "printf %s '" + "ü✓" * (12 * 1024) + "' | cksum",
    "many-lines": "n=0\n" + "n=$((n+1)) # it's\n" * 3000 + "echo $n",
}

VALUES = [
    "",
    " ",
    "plain",
    "  spaces  around  ",
    "$HOME ${HOME} $(date) `date` $$ $1",
    "single ' double \" both '\"'",
    "\\ \\\\ \\n \\$HOME trailing \\",
    "line\nline\n\nlast\n",
    "\ttab\r\n",
    "{{PWD}} {{HOME}} <LOG_DIR> <CPS> {{}} <>",
    "%PATH% 100% !x!",
    "a && b; c | d > e < f & g # h",
    "Grüße 日本語 🧶",
    "a=b=c,d:e",
    "<a>&amp;</a>",
    "-n",
    "*",
    "~",
    "\x01\x1b[31m\x7f",
    "x" * 20_000,
    "'" * 10_000,
]
ENVIRONMENT = {f"VALUE_{number}": value for number, value in enumerate(VALUES)}

SHELL_ENVIRONMENT = {
    "GREETING": GREETING,
    "HOME": "/home of/nobody",
    # The last is for this machine, where Python may lie anywhere.
    "PATH": f"/usr/local/bin:/usr/bin:/bin:{Path(sys.executable).parent}",
}
"""What a command may depend on, the same here and there."""


@pytest.fixture(scope="module")
def ending(module_applications: Applications) -> Ending:
    """Every command, each as a service of one application."""
    services = {
        name: knit.Service(
            command,
            resources=SMALL,
            environment=SHELL_ENVIRONMENT,
            failure_policy=FailurePolicy.FINISH_OTHERS,
        )
        for name, command in COMMANDS.items()
    }
    services["environment"] = knit.Service(
        "; ".join(f'printf "%s\\0" "${name}"' for name in ENVIRONMENT),
        resources=SMALL,
        environment=ENVIRONMENT,
    )
    services["own-variables"] = knit.Service(
        'echo "$KNIT_SERVICE_NAME $KNIT_RANK $KNIT_ATTEMPT_NUMBER $LANG $PYTHONUNBUFFERED";'
        'echo "$KNIT_APPLICATION_ID $KNIT_CONTAINER_ID"; echo "${KNIT_LAUNCH-none}"',
        instances=2,
        resources=SMALL,
    )
    services["overridden-variables"] = knit.Service(
        'echo "$LANG [$PYTHONUNBUFFERED] $HOME $USER"',
        resources=SMALL,
        environment={"LANG": "C", "PYTHONUNBUFFERED": "", "HOME": "/x y", "USER": "$me"},
    )
    return module_applications.run(services)


def at_home(command: str, directory: Path) -> tuple[bytes, bytes, int]:
    """What the command writes to stdout and to stderr here, and its exit code."""
    done = subprocess.run(
        ["/bin/bash", "-c", command],
        env={**SHELL_ENVIRONMENT, "LANG": "C.UTF-8"},
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    return done.stdout, done.stderr, done.returncode


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_does_what_it_does_at_home(ending: Ending, name: str, tmp_path: Path) -> None:
    expected = at_home(COMMANDS[name], tmp_path)
    exit_code = ending.exit(name).exit_code
    assert (ending.log(name), ending.log(name, file="stderr"), exit_code) == expected


@pytest.mark.parametrize("number", range(len(VALUES)))
def test_an_environment_value_is_taken_literally(ending: Ending, number: int) -> None:
    values = ending.log("environment").split(b"\0")
    assert len(values) == len(VALUES) + 1, ending.text("environment", file="stderr")
    assert values[number] == VALUES[number].encode()


def test_a_container_knows_its_place(ending: Ending) -> None:
    for rank in (0, 1):
        container = ending.container("own-variables", rank)
        assert ending.text("own-variables", rank) == (
            f"own-variables {rank} 1 C.UTF-8 1\n"
            f"{ending.application_id} {container.container_id}\n"
            "none\n"
        )


def test_what_is_not_knits_own_can_be_overridden(ending: Ending) -> None:
    assert ending.text("overridden-variables") == "C [] /x y $me\n"


def test_one_bad_command_among_many_makes_the_application_fail(ending: Ending) -> None:
    assert ending.report.final_status is FinalStatus.FAILED
    assert len(ending.containers) == len(COMMANDS) + 4


@pytest.mark.parametrize("name", ["KNIT_RANK", "KNIT_LAUNCH", "KNIT_APPLICATION_ID"])
def test_knits_own_variables_are_refused(name: str) -> None:
    with pytest.raises(knit.SpecError, match=name):
        knit.Service("true", environment={name: os.devnull})
