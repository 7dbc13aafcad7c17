"""Secrets: one, and the error for the others."""


class SecretNotFoundError(Exception):
    pass


def get(key: str) -> str:
    if key != "KAGGLE_API_TOKEN":
        raise SecretNotFoundError(key)
    return "a-secret-token"
