"""One module for each group of methods: convert in, ask the app, convert out.

Every handler takes the session and the parameters. Those that ask the model take what they need from the current
state at once, and return an awaitable for the rest: `lanes` says which is which.
"""
