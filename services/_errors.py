"""What can go wrong with a server, by what the reader can do about it."""


class ServiceError(Exception):
    """A server did not do what it was told; the message names it and says what happened."""


class UnavailableError(ServiceError):
    """This machine cannot run the server at all; the message says what is missing."""
