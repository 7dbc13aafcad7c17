"""Errors of Google's libraries, in words."""

import ssl

import requests
import urllib3
from google.api_core.exceptions import RetryError

from detector.storage import google


def test_an_error_on_the_way_shows_no_upload_id() -> None:
    """Whoever has that may write the object."""
    broken = ssl.SSLEOFError(8, "EOF occurred in violation of protocol")
    url = "/upload/storage/v1/b/bkt/o?uploadType=resumable&upload_id=SECRET"
    pool = urllib3.HTTPSConnectionPool("storage.googleapis.com")
    error = requests.exceptions.SSLError(
        urllib3.exceptions.MaxRetryError(pool, url, urllib3.exceptions.SSLError(broken))
    )
    for raised in (error, RetryError("Timeout of 15.0s exceeded", error)):
        said = google.in_words("gs://bkt/work", raised).line()
        assert said == (
            "gs://bkt/work: no answer: EOF occurred in violation of protocol; check the connection and try again"
        )
