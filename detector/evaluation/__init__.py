"""How good a detector is: COCO metrics, curves, intervals, and their tables and plots."""
