"""The client of Google Cloud Storage that training (bucket.py) and commands (gcs.py) talk through.

What Google's errors mean each says for itself: a training goes on without its bucket, a command ends with one line.
"""

from typing import Any

LOGIN = "run: gcloud auth application-default login (in Colab: from google.colab import auth; auth.authenticate_user())"


def make(project: str = "") -> Any:
    """A `google.cloud.storage.Client`, which is imported here; `project` matters only where a bucket is created."""
    from google.cloud import storage

    return storage.Client(project=project or "-")  # without one, an account's default project would have to be known
