"""Opens the page: the temporary folder, the thread that segments, the server and its address."""

import dataclasses
import getpass
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from configs import InputError
from pipeline.viewer.answers import Answers
from pipeline.viewer.corrections import Corrections
from pipeline.viewer.ending import Ending
from pipeline.viewer.library import Library
from pipeline.viewer.maps import MapStore
from pipeline.viewer.model import CurrentModel, ViewedModel
from pipeline.viewer.pictures import Pictures
from pipeline.viewer.safety import Guard, host_names, is_loopback, name_to_open
from pipeline.viewer.segmenting import Segmenting
from pipeline.viewer.serving import Application
from pipeline.viewer.training import Training, TrainOn
from pipeline.viewer.uploads import Uploads

FOLDERS = ("uploads", "maps", "thumbnails")


@dataclasses.dataclass(frozen=True)
class PageSettings:
    """What a page is opened with.

    Attributes:
      address: address to listen on.
      port: port to listen on; 0: a free one.
      keep: whether uploads and maps stay when the page ends.
      with_spread: whether the model says how sure it is.
    """

    address: str = "127.0.0.1"
    port: int = 0
    keep: bool = False
    with_spread: bool = False


@dataclasses.dataclass(frozen=True)
class Page:
    """A page that is being served.

    Attributes:
      url: what to open, with the token if it needs one.
      folder: the temporary folder of uploads and maps.
      wait: waits until the page ends, which is when segmenting fails or `stop` is called.
      stop: ends the page, and stops a training; may be called from a signal handler, and again.
    """

    url: str
    folder: Path
    wait: Callable[[], None]
    stop: Callable[[], None]


@contextmanager
def opened_page(
    photographs: Mapping[str, Path],
    model: ViewedModel,
    settings: PageSettings,
    *,
    corrections: Corrections | None,
    train_on: TrainOn,
) -> Iterator[Page]:
    """Serves a page while the block runs, and removes its temporary folder unless it is to be kept.

    A training that is still running at the end is stopped, and waited for.

    Args:
      photographs: files by name.
      model: the model that it begins with.
      settings: what the page is opened with.
      corrections: where corrections go; None: nothing can be corrected.
      train_on: what training on corrections needs.

    Raises:
      InputError: the address cannot be listened on.
    """
    library, ending = Library(photographs), Ending()
    folder = Path(tempfile.mkdtemp(prefix="fundus_tiles_view_"))
    uploads, maps, thumbnails = (folder / name for name in FOLDERS)
    for one in (uploads, maps, thumbnails):
        one.mkdir()
    store, current, max_pixels = MapStore(maps), CurrentModel(model), model.spec.max_pixels
    segmenting = Segmenting(library, store, current, max_pixels=max_pixels, ending=ending)
    training = Training(train_on, corrections, now=lambda: current.now)
    answers = Answers(
        library,
        model=current,
        maps=store,
        pictures=Pictures(thumbnails, max_pixels=max_pixels),
        uploads=Uploads(uploads, max_pixels=max_pixels),
        corrections=corrections,
        training=training,
        user=_user(),
        with_spread=settings.with_spread,
        is_loaded=lambda: segmenting.loaded,
    )
    _mark_corrected(library, corrections)
    try:
        with _served(answers, settings) as url:
            segmenting.start()

            def stop() -> None:
                training.stop(at_once=ending.is_asked)
                ending.now()

            yield Page(url, folder, lambda: _wait(ending, segmenting), stop)
            library.close()
            segmenting.join()
    finally:
        library.close()
        training.close()
        if not settings.keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _served(answers: Answers, settings: PageSettings) -> Iterator[str]:
    """Listens while the block runs, and yields what to open."""
    token = None if is_loopback(settings.address) else secrets.token_urlsafe(24)
    server = _listening(settings)
    server.app = Application(answers, Guard(host_names(settings.address), server.port, token=token))
    thread = threading.Thread(target=server.serve_forever, name="serving", daemon=True)
    thread.start()
    try:
        yield f"http://{name_to_open(settings.address)}:{server.port}/" + ("" if token is None else f"?token={token}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _listening(settings: PageSettings) -> BaseWSGIServer:
    try:
        return make_server(settings.address, settings.port, _nobody, threaded=True, request_handler=_Quiet)
    except (OSError, SystemExit) as error:  # with a port that is taken, Werkzeug prints advice and exits
        raise InputError(
            f"--address={settings.address} --port={settings.port}: cannot be listened on; is the port taken? Leave "
            "--port out for a free one."
        ) from error


def _nobody(environ: object, start_response: Callable[..., object]) -> list[bytes]:
    """Answers nothing: the application needs the port, which is known only once the server listens."""
    start_response("503 Service Unavailable", [])
    return []


class _Quiet(WSGIRequestHandler):
    """Writes no line for each request, and does not tell which versions serve."""

    server_version, sys_version = "fundus_tiles", ""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Writes nothing."""


def _mark_corrected(library: Library, corrections: Corrections | None) -> None:
    if corrections is not None:
        for case in library.all():
            if corrections.is_corrected(case):
                library.update(case.number, corrected=True)


def _wait(ending: Ending, segmenting: Segmenting) -> None:
    ending.wait()
    if segmenting.error is not None:
        raise segmenting.error


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without users
        return ""
