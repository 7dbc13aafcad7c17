"""The trained detector as SavedModel and TFLite."""
