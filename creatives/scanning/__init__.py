"""What a creative says of itself against what it is: by its markup alone, and by loading what it names."""
