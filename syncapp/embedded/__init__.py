"""PostgreSQL and Valkey of our own where the environment names none, and the supervisor of all processes."""
