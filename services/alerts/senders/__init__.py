"""How a delivery leaves the house: the port, and one file for each channel."""
