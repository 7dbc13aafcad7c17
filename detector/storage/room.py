"""How much may be written: what comes from elsewhere, and unpacks, must not fill the disk."""

from pathlib import Path

from detector.base.errors import UserError

MAX_RATIO = 200  # unpacked to packed; weights and photos come to about 1, XML to about 20
RATIO_MATTERS = 2**28  # bytes unpacked, below which no ratio does harm


def check_size(archive: Path, unpacked: int, free: int, name: str) -> None:
    """Refuse an archive that unpacks to too many bytes for its own size, or for the `free` bytes of the disk."""
    packed = max(archive.stat().st_size, 1)
    if unpacked > RATIO_MATTERS and unpacked > MAX_RATIO * packed:
        raise UserError(name, f"{packed:,} bytes that unpack to {unpacked:,}: a zip bomb", "nothing was unpacked")
    if unpacked > free:
        raise UserError(name, f"unpacks to {unpacked:,} bytes, the disk has {free:,} free", "make room")
