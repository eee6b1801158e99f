"""What runs in a worker process. Rule: only the standard library, and as little as will do."""
