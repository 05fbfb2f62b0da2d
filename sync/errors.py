"""What can be wrong with a store, named for what the caller should do about it."""


class StoreError(Exception):
    """A store cannot be used; the message says which, and what to do."""


class StoreBusy(StoreError):
    """Another instance holds the store or the lease: wait for it to end, or stop it."""


class StoreLost(StoreError):
    """The store cannot be used now, as its server is away, its file locked or its disk full: try
    again later, nothing is lost."""
