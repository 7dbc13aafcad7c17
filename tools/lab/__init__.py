"""Measurements: benchmarks of training and prediction, ablation."""
