"""Training: the state, the step, the engine that runs many students, and what it leaves behind."""
