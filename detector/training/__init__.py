"""The training itself: loop, step, input, validation, devices, progress and stops."""
