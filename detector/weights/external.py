"""A checkpoint that somebody else made: in an archive, a folder or a bucket, or as it is on this machine."""

from pathlib import Path

from detector.base import files
from detector.base.errors import UserError
from detector.base.params import PARAMS_FILE
from detector.storage import archives


def fetch(source: str, sha256: str, folder: Path) -> Path:
    """The prefix of the checkpoint that `source` names, downloaded and unpacked into `folder` where needed.

    Args:
        source: an https:// or gs:// address, or a path; of an archive, of a folder that holds one checkpoint, or of a
            checkpoint, with or without `.index`.
        sha256: of the archive; may be empty, except for https://.

    Raises:
        UserError: nothing there, more than one checkpoint, or another digest.
    """
    source = source.removesuffix(".index")
    if source.startswith(("https://", "http://")):
        path = archives.download(source, sha256)
    elif source.startswith("gs://"):
        path = archives.download_gs(source, folder)
    else:
        path = files.expanded(source)
    is_checkpoint = Path(f"{path}.index").is_file()
    if sha256 and (is_checkpoint or path.is_dir()):
        reason = f"given, but {source} is {'the prefix of a checkpoint' if is_checkpoint else 'a folder'}, no archive"
        raise UserError(PARAMS_FILE, reason, "leave it empty: ''", "pretrained.sha256")
    if is_checkpoint:
        return path
    if path.is_dir():
        return find(path, source)
    if not path.is_file():
        raise UserError(PARAMS_FILE, f"{source}: no such archive or checkpoint", "check the path", "pretrained.source")
    if sha256 and (digest := files.sha256(path)) != sha256.lower():
        raise UserError(source, f"its sha256 is {digest}, not {sha256}", "check pretrained.sha256")
    archives.unpack_tar(path, folder / "unpacked", source)
    return find(folder / "unpacked", source)


def find(folder: Path, source: str) -> Path:
    """The prefix of the one checkpoint in a folder; errors name `source`."""
    prefixes = sorted(path.with_suffix("") for path in folder.rglob("*.index"))
    if len(prefixes) != 1:
        names = ", ".join(path.relative_to(folder).as_posix() for path in prefixes) or "none"
        raise UserError(source, f"one checkpoint is needed, found {names}", "give its prefix, without .index")
    return prefixes[0]
