"""From the model's words to something usable: how it samples, where it stops, what is kept. Knows no feature."""
