"""The exported detector over HTTP, for strangers' photos: who may ask, workers that may be killed, API, demo."""
