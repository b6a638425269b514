"""A fleet in more than one process: shards, leases, workers of a Dask cluster."""
