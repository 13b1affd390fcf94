"""The store of alerts: tables, bulk reading and writing, kept-back records, seals, audit."""
