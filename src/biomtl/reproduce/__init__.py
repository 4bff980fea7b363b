"""Papers in one command each: what to bring and what it costs, the runs, and a verdict on the expected figures."""
