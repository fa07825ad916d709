"""What is kept of a user between interactions: conversations, preferences, and what was used."""
