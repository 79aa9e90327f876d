"""The server: checks every request, finds who answers it, and adds what all answers have."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.exceptions import Conflict, HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from configs import InputError
from pipeline.viewer.answers import Answers
from pipeline.viewer.safety import HEADERS, Guard
from pipeline.viewer.uploads import MOST_BYTES
from records import disk_error

RULES = Map(
    [
        Rule("/", endpoint="static", methods=["GET"]),
        Rule("/static/<name>", endpoint="static", methods=["GET"]),
        Rule("/api/session", endpoint="session", methods=["GET"]),
        Rule("/api/news", endpoint="news", methods=["GET"]),
        Rule("/api/take_away", endpoint="take_away", methods=["GET"]),
        Rule("/api/training", endpoint="training", methods=["GET"]),
        Rule("/api/training", endpoint="train", methods=["POST"]),
        Rule("/api/training", endpoint="stop_training", methods=["DELETE"]),
        Rule("/api/model", endpoint="use_model", methods=["PUT"]),
        Rule("/api/photographs", endpoint="upload", methods=["POST"]),
        Rule("/api/photographs/<int:number>", endpoint="remove", methods=["DELETE"]),
        Rule("/api/photographs/<int:number>/thumbnail", endpoint="thumbnail", methods=["GET"]),
        Rule("/api/photographs/<int:number>/photograph", endpoint="photograph", methods=["GET"]),
        Rule("/api/photographs/<int:number>/tiles/<int:row>/<int:column>", endpoint="tile", methods=["GET"]),
        Rule("/api/photographs/<int:number>/map", endpoint="map", methods=["GET"]),
        Rule("/api/photographs/<int:number>/labels", endpoint="labels", methods=["GET"]),
        Rule("/api/photographs/<int:number>/labels", endpoint="save", methods=["PUT"]),
    ]
)


class Application:
    """The WSGI application of the page."""

    def __init__(self, answers: Answers, guard: Guard):
        """Serves answers to requests that a guard lets through."""
        self._answers, self._guard = answers, guard

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answers a request, as WSGI wants it."""
        request = Request(environ)
        request.max_content_length = MOST_BYTES
        response = self._answer(request)
        response.headers.update(HEADERS)
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        try:
            if self._guard.admits(request):
                return self._guard.admit(redirect("/"))
            self._guard.check(request)
            endpoint, values = RULES.bind_to_environ(request.environ).match()
            return getattr(self._answers, endpoint)(request, **values)
        except HTTPException as error:
            return _refused(error)
        except InputError as error:
            return _refused(Conflict(str(error)))
        except OSError as error:
            known = disk_error(error)
            text = f"{error.filename}: {error.strerror}" if known is None else f"{known.reason}; {known.remedy}"
            logging.getLogger(__name__).warning(text)
            return Response(text, status=500, mimetype="text/plain")


def _refused(error: HTTPException) -> Response:
    """Returns an error as plain text, as the page shows it."""
    return Response(error.description or "", status=error.code or 500, mimetype="text/plain")
