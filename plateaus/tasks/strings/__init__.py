"""Tasks on characters: their alphabets, tables and checks."""
