"""What other parts of Grosz say in English, to be said in languages of the console: a table for each of them."""
