"""The pins of a Raspberry Pi: a contactor's relay and the contacts that say what became of it."""
