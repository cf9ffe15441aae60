"""What everything else stands on: errors, cancellation, digests. Standard library only."""
