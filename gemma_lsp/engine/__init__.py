"""The engine: jobs, queue and loop over one context; its process, socket and client."""
