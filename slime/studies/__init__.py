"""Studies: many nets trained on equal shares of a processor, scored alike, cell by cell."""
