"""The detector as a graph: the Object Detection API in one module, configuration, checkpoints, inference."""
