"""Trainings that run, on this machine or saved in a bucket, as others see them: nothing is written where they save."""
