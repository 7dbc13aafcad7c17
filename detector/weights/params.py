"""What training starts from: the section `pretrained` of params.yaml."""

from dataclasses import dataclass

from detector.base import params

OPEN_IMAGES_MODEL = "ssd_mobilenet_v2_320x320"  # that the source open_images is


@dataclass(frozen=True)
class PretrainedParams:
    """stages/pretrained.py says what each source is."""

    source: str = params.text("package, open_images, last, an https:// or gs:// address, or a path")
    sha256: str = params.text("the archive's sha256", empty=True)
