"""Why something does not deliver: explanations of one request, funnels of one line item, the doctor for everything."""
