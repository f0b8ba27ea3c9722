"""The verbs kv get, put, del, list and watch: an application's key-value store."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from knit.cli._arguments import values
from knit.cli._arguments.options import (
    Cluster,
    application_argument,
    cluster_options,
    json_option,
    verb,
)
from knit.cli._running.exit_status import TIMED_OUT
from knit.cli._running.waiting import within_reach
from knit.cli._terminal.as_json import key_change_as_json, key_value_as_json
from knit.cli._terminal.output import clean, print_json, print_table, say
from knit.cli._terminal.reader import until_reader_leaves
from knit.cli._terminal.words import human_size

if TYPE_CHECKING:
    import knit


@click.group("kv", short_help="Read and write the store of an application.")
def kv() -> None:
    """
    Read and write the key-value store that the containers of an application share.

    Keys are taken as they are typed, in any bytes; values are printed as they are.
    """


@contextlib.contextmanager
def _opened(cluster: Cluster, application_id: str) -> Iterator[knit.KeyValueStore]:
    with cluster.client() as client, client.application(application_id) as app, within_reach(app):
        yield app.kv


key_argument = click.argument("key", metavar="KEY")


@verb(
    "get",
    short="Print the value of a key.",
    example="knit kv get application_1700000000000_0001 leader",
)
@application_argument
@key_argument
@click.option(
    "--wait",
    "patience",
    type=values.duration,
    metavar="TIME",
    help="Wait so long for the key to be there; then leave with 124.",
)
@json_option
@cluster_options()
def get(
    *,
    cluster: Cluster,
    application_id: str,
    key: str,
    patience: timedelta | None,
    as_json: bool,
) -> int:
    """
    Print the value of a key, byte for byte and without a newline.

    The exit status is 1 if there is no such key.
    """
    from knit.exceptions import WaitTimeoutError

    with _opened(cluster, application_id) as store:
        if patience is not None:
            try:
                store.wait(key, timeout=patience)
            except WaitTimeoutError as error:
                say(f"{error}")
                return TIMED_OUT
        found = store.entry(key)
    if found is None:
        say(f"there is no key {key!r}")
        return 1
    if as_json:
        print_json(key_value_as_json(found))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(found.value)
        sys.stdout.buffer.flush()
    return 0


@verb(
    "put",
    short="Write a key.",
    example="knit kv put application_1700000000000_0001 phase warm-up",
)
@application_argument
@key_argument
@click.argument("value", metavar="[VALUE]", required=False)
@click.option(
    "--if-missing", is_flag=True, help="Only if it is not there; else leave with status 1."
)
@json_option
@cluster_options()
def put(
    *,
    cluster: Cluster,
    application_id: str,
    key: str,
    value: str | None,
    if_missing: bool,
    as_json: bool,
) -> int:
    """Write a key. Without a VALUE it is read from stdin, byte for byte."""
    from knit import kv as steps

    data = sys.stdin.buffer.read() if value is None else value.encode("utf-8", "surrogateescape")
    with _opened(cluster, application_id) as store:
        conditions = [steps.missing(key)] if if_missing else []
        done = store.transaction(conditions, [steps.put(key, data)])
    if as_json:
        print_json({"succeeded": done.succeeded, "revision": done.revision})
    elif not done.succeeded:
        say(f"the key {key!r} is there already, and was left as it is")
    return 0 if done.succeeded else 1


@verb(
    "del",
    short="Delete keys.",
    example="knit kv del application_1700000000000_0001 --prefix tmp/",
)
@application_argument
@click.argument("keys", metavar="[KEY]...", nargs=-1, required=False)
@click.option("--prefix", metavar="TEXT", help="All keys that begin so.")
@json_option
@cluster_options()
def delete(
    *,
    cluster: Cluster,
    application_id: str,
    keys: tuple[str, ...],
    prefix: str | None,
    as_json: bool,
) -> int:
    """
    Delete keys, all in one step, and print how many there were.

    The exit status is 1 if there was none of them.
    """
    from knit import kv as steps

    if not keys and prefix is None:
        raise click.UsageError("Say which: KEY..., or --prefix TEXT (an empty one for all).")
    wanted = [steps.delete(key) for key in dict.fromkeys(keys)]
    if prefix is not None:
        wanted.append(steps.delete_range(prefix=prefix))
    with _opened(cluster, application_id) as store:
        done = store.transaction([], wanted)
    count = sum(result.count for result in done.results)
    if as_json:
        print_json({"count": count, "revision": done.revision})
    else:
        click.echo(count)
    return 0 if count else 1


@verb(
    "list",
    short="List keys.",
    example="knit kv list application_1700000000000_0001 --prefix worker/",
)
@application_argument
@click.option("--prefix", metavar="TEXT", help="Only keys that begin so.")
@click.option("--values", "with_values", is_flag=True, help="With their values.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="So many at most.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per key.")
@cluster_options()
def list_(
    *,
    cluster: Cluster,
    application_id: str,
    prefix: str | None,
    with_values: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """List keys in order, with sizes, revisions, owners and leases."""
    with _opened(cluster, application_id) as store:
        found = store.range(prefix=prefix, keys_only=not with_values, limit=limit)
        if as_json:
            for each in found:
                print_json(key_value_as_json(each, with_value=with_values))
            return
        rows = [
            (
                each.key,
                human_size(each.value_bytes),
                each.modify_revision,
                each.version,
                each.owner,
                each.lease_id,
                *([each.value.decode("utf-8", "backslashreplace")] if with_values else []),
            )
            for each in found
        ]
    headings = ["key", "size", "revision", "version", "owner", "lease"]
    print_table(
        headings + (["value"] if with_values else []),
        rows,
        optional=["version", "lease", "revision", "owner"],
    )


@verb(
    "watch",
    short="Print changes of keys, as they come.",
    example="knit kv watch application_1700000000000_0001 --prefix worker/",
)
@application_argument
@click.argument("key", metavar="[KEY]", required=False)
@click.option("--prefix", metavar="TEXT", help="All keys that begin so.")
@click.option(
    "--after",
    type=click.IntRange(min=0),
    metavar="REVISION",
    help="Also what came after this revision.  [default: from now on]",
)
@click.option(
    "--timeout",
    "limit",
    type=values.duration,
    metavar="TIME",
    help="Give up after this long, with exit status 124: 90s, 5m, 1h30m.  [default: never]",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per change.")
@cluster_options(timeout=False)
def watch(
    *,
    cluster: Cluster,
    application_id: str,
    key: str | None,
    prefix: str | None,
    after: int | None,
    limit: timedelta | None,
    as_json: bool,
) -> int:
    """Print changes of keys until the application has ended; by default of all keys."""
    from knit.exceptions import WaitTimeoutError

    if key is not None and prefix is not None:
        raise click.UsageError("Watch a KEY, or a --prefix: not both.")
    with cluster.client() as client, client.application(application_id) as app:
        with within_reach(app):
            changes = app.kv.watch(key, prefix=prefix, after=after, timeout=limit)
        try:
            with changes, until_reader_leaves(changes.close):
                for change in changes:
                    _print_change(change, as_json=as_json)
        except WaitTimeoutError:
            return TIMED_OUT
    return 0


def _print_change(change: knit.KeyChange, *, as_json: bool) -> None:
    if as_json:
        print_json(key_change_as_json(change, with_values=True))
        return
    value = None if change.current is None else change.current.value
    text = "-" if value is None else value.decode("utf-8", "backslashreplace")
    what = "delete" if value is None else "put"
    click.echo("\t".join([str(change.revision), what, clean(change.key), clean(text)]))


for verb_ in (get, put, delete, list_, watch):
    kv.add_command(verb_)
