"""An S3-compatible store in memory as a process of its own: prints its port, ends when its standard input does.

Writes are taken one after the other: moto compares the tag of a conditional put and writes in two steps, so that of
two puts at the same moment both would succeed, which no store allows.

Each line of its input is JSON, `[bucket, [key, ...]]`: as many empty objects are put at once, and a line is printed.
"""

import json
import logging
import sys
import threading

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

WRITES = threading.Lock()


def one_write_at_a_time(answer):
    """The handler of a request, with writes one after the other."""

    def handle(self, environ, start_response):
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return answer(self, environ, start_response)
        with WRITES:
            return answer(self, environ, start_response)

    return handle


if __name__ == "__main__":
    DomainDispatcherApplication.__call__ = one_write_at_a_time(DomainDispatcherApplication.__call__)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    for line in sys.stdin:
        bucket, keys = json.loads(line)
        for key in keys:
            s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, key, b"")
        print(len(keys), flush=True)
