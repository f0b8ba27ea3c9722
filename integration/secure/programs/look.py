"""
Looks at HDFS every second by the delegation token of its container, and notes whether it may.

    look.py WEBHDFS CA-FILE NOTES

Each line it writes is the seconds since its start and ``ok`` or ``refused``. A file is named after
its rank, in a directory that the test knows: where nodes want Kerberos, logs are not live.
"""

from __future__ import annotations

import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from knit._cluster.security.token_file import Credentials


def main() -> None:
    base, ca_file, notes = sys.argv[1:]
    held = Credentials.from_file(Path(os.environ["HADOOP_TOKEN_FILE_LOCATION"]))
    (token,) = held.of_kind("HDFS_DELEGATION_TOKEN")
    url = f"{base}/webhdfs/v1/?op=GETFILESTATUS&delegation={token.url_string()}"
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca_file)),
    )
    began = time.monotonic()
    with Path(notes, os.environ["KNIT_RANK"]).open("w", buffering=1) as file:
        while True:
            try:
                opener.open(url, timeout=20).close()
                word = "ok"
            except urllib.error.HTTPError as error:
                error.close()
                word = "refused"
            line = f"{time.monotonic() - began:.0f} {word}"
            print(line, flush=True)
            print(line, file=file)
            time.sleep(1)


main()
