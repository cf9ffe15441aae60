"""Configuration: what can be set (schema), where it comes from (load), how it is documented (render)."""
