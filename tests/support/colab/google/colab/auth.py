"""Signing in: with a bucket on loopback there is nobody to sign in to."""


def authenticate_user() -> None:
    print("stand-in: signed in")
