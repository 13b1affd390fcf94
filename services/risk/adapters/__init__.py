"""Technology behind the risk service's ports: one file per adapter."""
