"""Many stations in one process or many: who they are, what their drivers do, what was measured."""
