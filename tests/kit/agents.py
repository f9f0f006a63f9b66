"""What a browser of a person calls itself: clicks of programs that name themselves do not count."""

PERSON = "Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
