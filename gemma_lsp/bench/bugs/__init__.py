"""`bench explain` and `bench review`: functions that are known to be wrong."""
