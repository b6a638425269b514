"""What is left when a run is over: its outcome, the criteria it is judged by, the report."""
