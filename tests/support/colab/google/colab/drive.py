"""Google Drive: a folder that exists already."""


def mount(mountpoint: str) -> None:
    print(f"stand-in: mounted {mountpoint}")


def flush_and_unmount() -> None:
    print("stand-in: flushed")
