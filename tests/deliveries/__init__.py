"""Deliveries to systems outside, end to end: server, jobs, and a simulated municipality."""
