"""What is counted while a fleet runs: statistics, latencies, the ledger of transactions, its own lag."""
