"""What the prompt is: segments, layout, budget, errata, tails. Nothing here knows how the cache gets there."""
