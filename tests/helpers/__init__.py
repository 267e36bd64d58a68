"""What the tests share: databases, processes, odd files. No tests."""
