"""The detector as a graph: the Object Detection API behind one door, configuration, checkpoints, inference."""
