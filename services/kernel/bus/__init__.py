"""The message bus: one port, a durable SQLite adapter for one process, Kafka for many."""
