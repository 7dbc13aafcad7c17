"""Detections in photos, from the exported model alone."""
