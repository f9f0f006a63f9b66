"""How creatives look: a page of each on the track port, and a picture of that page for exchanges and people."""
