"""Between the protocol's words and the core's: pure functions, one module for each kind of thing."""
