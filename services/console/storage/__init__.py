"""What the console keeps: users, their sessions and preferences, refused log-ins, API tokens."""
