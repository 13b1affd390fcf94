"""The book as a pure fold: facts about one subject in, its entries out. No I/O, no clock."""
