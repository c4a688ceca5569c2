"""What other policies would have earned, estimated from logs with propensities."""
