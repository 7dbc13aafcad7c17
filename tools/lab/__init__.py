"""Measurements of training: benchmark and ablation."""
