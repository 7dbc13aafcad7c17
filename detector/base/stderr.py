"""What C++ libraries write to stderr, past every log level of theirs."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Hold it back; show it if the work fails."""
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as buffer:
        os.dup2(buffer.fileno(), 2)
        try:
            yield
        except BaseException:
            buffer.seek(0)
            os.write(real, buffer.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)
