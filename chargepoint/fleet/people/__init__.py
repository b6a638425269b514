"""Who charges and what goes wrong: behaviours, arrivals, visits of drivers."""
