"""What is broken about a simulated connector, or wrong with its vehicle: nothing, usually."""
