"""How much one request may ask for, and all of them together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What is above is refused: the client's fault with 4xx, the server's lack of room with 503."""

    body: int = 20_000_000  # bytes, of a photo as it is sent
    headers: int = 16_384  # bytes
    read_seconds: float = 10  # to send a request, from its first byte or the connection's to its last; to take answers
    pixels: int = 20_000_000  # of a photo
    detect_seconds: float = 5  # to read a photo and to detect in it; then its worker is killed
    worker_bytes: int = 1_000_000_000  # of memory that a worker may take beside the model
    waiting: int = 64  # photos that wait for a worker
    wait_seconds: float = 10  # that a photo waits for one
    connections: int = 600  # at a time, of all clients; fewer where the system allows this process fewer files
    of_address: int = 250  # of them, from one address; with a `rate` of 0, as behind a proxy, any number
    requests: int = 500  # at a time, of all clients
    held_bytes: int = 500_000_000  # of their bodies
    rate: float = 100  # requests a second from one address, in the long run; 0: any number
    burst: float = 200  # at once
