"""An S3 server on loopback (moto), which fails as it is told to; prints its port.

POST /_faults takes JSON: {"kind": "500", "times": 2, "method": "GET", "ends": "a.png"}. So many requests of that method
for names with that end then fail: `500` and `expired` answer with an error, `cut` ends the connection in the middle of
the content, `wrong` flips a bit of it, and `slow` waits for two seconds.
"""

import json
import logging
import threading
import time

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

ERROR = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
CODES = {"500": ("500 Internal Server Error", "InternalError"), "expired": ("403 Forbidden", "ExpiredToken")}


class Faults:
    """The application around moto's, which fails as it is told to."""

    def __init__(self, application):
        self.application, self.waiting, self.lock = application, [], threading.Lock()

    def __call__(self, environment, start):
        path = environment["PATH_INFO"]
        if path == "/_faults":
            self.waiting.append(json.loads(environment["wsgi.input"].read(int(environment["CONTENT_LENGTH"]))))
            start("200 OK", [])
            return [b""]
        fault = self._due(environment["REQUEST_METHOD"], path)
        if fault in CODES:
            status, code = CODES[fault]
            environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
            body = ERROR.format(code=code).encode()
            start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [body]
        if fault == "slow":
            time.sleep(2)
        content = self.application(environment, start)
        if fault in ("cut", "wrong"):
            return self._damaged(b"".join(content), fault)
        return content

    def _due(self, method, path):
        with self.lock:
            for fault in self.waiting:
                if fault["times"] and fault["method"] == method and path.endswith(fault["ends"]):
                    fault["times"] -= 1
                    return fault["kind"]
        return None

    @staticmethod
    def _damaged(content, fault):
        if fault == "wrong":
            yield bytes([content[0] ^ 1]) + content[1:]
            return
        yield content[: len(content) // 2]
        raise ConnectionError("cut")


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    server = make_server("127.0.0.1", 0, Faults(DomainDispatcherApplication(create_backend_app)), threaded=True)
    print(server.port, flush=True)
    server.serve_forever()
