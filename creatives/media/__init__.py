"""Files of ads that advertisers upload: looked at by their content, kept by their hash, served to anybody."""
