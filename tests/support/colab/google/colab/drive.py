"""Google Drive: a folder that is there already."""


def mount(mountpoint: str) -> None:
    print(f"stand-in: mounted {mountpoint}")
