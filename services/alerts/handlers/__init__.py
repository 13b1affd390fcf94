"""What alerts does: take in what risk says, fire what is due, carry out what people do."""
