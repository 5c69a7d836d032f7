"""Responses of the plugin: headers, JSON, errors, packaged files and downloads."""

from __future__ import annotations

import gzip
import hashlib
import io
import logging
import mimetypes
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import msgspec
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response
from werkzeug.wsgi import wrap_file

from src.errors import LightshipError, one_line, printable

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

logger = logging.getLogger("tensorboard")

BAD_ARGUMENT, NOT_FOUND, WRONG_METHOD, DAMAGED, DEFECT = 400, 404, 405, 422, 500
_METHODS = ("GET", "HEAD")
_MOST_SHOWN = 80  # characters of a request's value in a message
_LEAST_COMPRESSED = 1024  # bytes; a shorter body fits into one packet anyway
_MIME_TYPES = {".js": "text/javascript", ".woff2": "font/woff2", ".md": "text/plain"}
_TEXTUAL = ("text/", "application/json", "image/svg+xml")

# Only this server is asked for anything, and only its own files run as scripts.
# style-src allows style attributes, because matplotlib's charts and speedscope have them. CSP's
# directive for attributes alone, style-src-attr, would suffice for the charts, but TensorBoard's
# security_validator logs a warning about it for each page.
# frame-ancestors is left to TensorBoard, which sets none: Jupyter shows it in a frame of another
# origin, and the directive asks all ancestors of speedscope's frame.
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; font-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_DATA = {"Cache-Control": "no-store"}
_STATIC = {"Cache-Control": "no-cache"}  # asks each time, and gets 304 while the ETag is the same


class RequestError(LightshipError):
    """A request that has no answer.

    Args:
        status: of HTTP.
        sentence: explains it to the reader of the page.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(one_line(sentence))
        self.status = status


class _TypedResponse(Response):
    """A response that keeps its type as a 304: TensorBoard warns of each one without a type."""

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        headers = super().get_wsgi_headers(environ)
        headers["Content-Type"] = self.headers["Content-Type"]
        return headers


class Failure(msgspec.Struct, frozen=True):
    """The JSON of a request that failed."""

    error: str


def application(handle: Callable[[Request], Response]) -> WSGIApplication:
    """Return a WSGI application that answers each request, also one that ``handle`` fails on."""

    def respond(environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        try:
            response = _refused(request) or handle(request)
        except RequestError as error:
            response = failure(request, error.status, str(error))
        except LightshipError as error:
            response = failure(request, DAMAGED, str(error))
        except HTTPException as error:
            response = failure(request, BAD_ARGUMENT, f"{error.name}: {error.description}")
        except OSError as error:
            response = failure(request, DAMAGED, f"a file could not be read: {error}")
        except Exception:
            # A defect of the plugin must not end TensorBoard's answer without a word.
            logger.exception("Lightship: %s failed", request.path)
            sentence = "Lightship could not answer; TensorBoard's log has the traceback"
            response = failure(request, DEFECT, sentence)
        return response(environ, start_response)

    return respond


def failure(request: Request, status: int, sentence: str) -> Response:
    """Return the answer to a request that failed."""
    response = json(request, Failure(one_line(printable(sentence))))
    response.status_code = status
    return response


def json(request: Request, record: object) -> Response:
    """Return a record as JSON."""
    return json_text(request, msgspec.json.encode(record))


def json_text(request: Request, text: bytes) -> Response:
    """Return encoded JSON."""
    return _whole(request, text, "application/json", _DATA)


def html(request: Request, text: bytes) -> Response:
    """Return HTML that runs no script but those of this server."""
    return _whole(request, text, "text/html", _DATA)


def gzipped_json(request: Request, body: bytes) -> Response:
    """Return JSON that is compressed already."""
    headers = {**_HEADERS, **_DATA, "Vary": "Accept-Encoding"}
    if _accepts_gzip(request):
        headers["Content-Encoding"] = "gzip"
        return Response(body, headers=headers, content_type="application/json")
    plain = io.BufferedReader(gzip.GzipFile(fileobj=io.BytesIO(body)))
    return Response(
        wrap_file(request.environ, plain), headers=headers, content_type="application/json"
    )


def attachment(request: Request, path: Path) -> Response:
    """Return a file as a download.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    # Without O_NONBLOCK, opening a named pipe that took the file's place would wait for ever.
    descriptor = os.open(path.resolve(), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    file = os.fdopen(descriptor, "rb")
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        file.close()
        raise OSError(f"{path.name} is no regular file")
    response = Response(
        wrap_file(request.environ, file),
        headers={**_HEADERS, **_DATA, "Content-Length": str(status.st_size)},
        content_type="application/gzip",
        direct_passthrough=True,
    )
    name = re.sub(r"[^A-Za-z0-9._-]", "_", path.name)
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response


def packaged(request: Request, name: str, body: bytes) -> Response:
    """Return a file of the plugin itself, or 304 if the browser has it."""
    response = _whole(request, body, _mime_type(name), _STATIC, kind=_TypedResponse)
    response.set_etag(hashlib.sha256(body).hexdigest()[:32])
    return response.make_conditional(request.environ)


def argument(request: Request, name: str) -> str:
    """Return the only value of an argument.

    Raises:
        RequestError: there is none, or more than one.
    """
    values = request.args.getlist(name)
    if len(values) != 1 or not values[0]:
        raise RequestError(BAD_ARGUMENT, f"{name}: expected one value; found {len(values)}")
    return values[0]


def quoted(text: str) -> str:
    """Return a value of a request as a message shows it."""
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}...")


def _refused(request: Request) -> Response | None:
    """Return the answer to a method that changes something; None if the method reads."""
    if request.method in _METHODS:
        return None
    response = failure(request, WRONG_METHOD, f"only {' and '.join(_METHODS)} are answered")
    response.headers["Allow"] = ", ".join(_METHODS)
    return response


def _whole(
    request: Request,
    body: bytes,
    mime_type: str,
    headers: dict[str, str],
    kind: type[Response] = Response,
) -> Response:
    """Return a body, compressed where that is worth it."""
    headers = {**_HEADERS, **headers}
    is_textual = mime_type.startswith(_TEXTUAL)
    if is_textual and len(body) >= _LEAST_COMPRESSED:
        headers["Vary"] = "Accept-Encoding"
        if _accepts_gzip(request):
            body = gzip.compress(body, compresslevel=3, mtime=0)
            headers["Content-Encoding"] = "gzip"
    content_type = f"{mime_type}; charset=utf-8" if is_textual else mime_type
    return kind(body, headers=headers, content_type=content_type)


def _accepts_gzip(request: Request) -> bool:
    return request.accept_encodings.quality("gzip") > 0


def _mime_type(name: str) -> str:
    suffix = PurePath(name).suffix
    return _MIME_TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
