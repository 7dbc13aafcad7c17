"""How good a detector is: COCO metrics, curves, intervals, and the tables and plots of them."""
