"""Real parcels and calls run through the engine in simulated time, and audited."""
