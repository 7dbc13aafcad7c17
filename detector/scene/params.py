"""How much stages/sample.py draws: the section `sample` of params.yaml."""

from dataclasses import dataclass

from detector.base import params


@dataclass(frozen=True)
class SampleParams:
    """Every image is drawn from (seed, split, number of the image)."""

    seed: int = params.whole(0, 2**32 - 1)
    train_images: int = params.whole(1, 100_000)
    test_images: int = params.whole(1, 100_000)
