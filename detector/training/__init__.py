"""The training itself: identity, data, loop, step, batches, validation, devices, log, progress and stops."""
